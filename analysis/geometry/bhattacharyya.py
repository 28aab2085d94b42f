"""Distances between probabilistic models: each model is one distribution over C classes for each of N samples.

d_B(u, v) = -mean_i log max(BC_i, FLOOR), where BC_i = sum_c sqrt(u_ic v_ic), is the Bhattacharyya distance per sample
(PROTOCOL 5.2, METRICS 3). There is one floor everywhere, so that a certain error costs 13.8 nats instead of infinity, and
every function says which share of the coefficients it clipped. Square roots of probabilities are points on spheres; the
arc between two of them is arccos BC_i, taken here from the chord, which stays exact for near points.
"""

from math import floor as whole
from math import log, log10

import torch
from jaxtyping import Float, Int64
from torch import Tensor

FLOOR = 1e-6
_SMALLEST_EXPONENT = 300  # of a product of coefficients in float64, whose normal range ends at 1e-308
_BLOCK_BYTES = 64 << 20


def spheres(log_probs: Float[Tensor, "*m n c"]) -> Float[Tensor, "*m n c"]:
    """Square roots of the probabilities in float64, renormalised: unit vectors even where the input was rounded."""
    return (0.5 * log_probs.double().log_softmax(dim=-1)).exp()


def bhattacharyya(log_p: Float[Tensor, "*m n c"], log_q: Float[Tensor, "*m n c"]) -> tuple[Float[Tensor, "*m"], float]:
    """d_B >= 0 of the models in two stacks, one to one, and the clipped share; 0 iff equal, at most -log FLOOR."""
    return _distance((spheres(log_p) * spheres(log_q)).sum(dim=-1))


def distance_to_truth(log_probs: Float[Tensor, "*m n c"], labels: Int64[Tensor, " n"]) -> tuple[Float[Tensor, "*m"], float]:
    """d_B to P*, which gives each sample's label probability 1, and the clipped share."""
    roots = spheres(log_probs)
    return _distance(roots.gather(-1, labels.expand(roots.shape[:-1])[..., None])[..., 0])


def arc(log_p: Float[Tensor, "*m n c"], log_q: Float[Tensor, "*m n c"]) -> Float[Tensor, "*m"]:
    """Geodesic length on the product of the samples' spheres, per sample: sqrt(mean_i arccos(BC_i)^2), in radians."""
    half_chord = torch.linalg.vector_norm(spheres(log_p) - spheres(log_q), dim=-1) / 2
    arcs: Tensor = 2 * half_chord.clamp(max=1).asin()
    return arcs.square().mean(dim=-1).sqrt()


def pairwise(log_probs: Float[Tensor, "m n c"]) -> tuple[Float[Tensor, "m m"], float]:
    """d_B of every pair of M models, float64, symmetric with zero diagonal, and the clipped share of pairs x samples.

    Sample by sample the coefficients of all pairs are one product of the M x C square roots with themselves. As many
    samples are multiplied together as the floor allows before one logarithm is taken. Memory is O(M^2), never N M^2.
    """
    models, samples, classes = log_probs.shape
    together = whole(_SMALLEST_EXPONENT / -log10(FLOOR))
    block = max(1, _BLOCK_BYTES // (8 * models * classes))
    total, product = torch.zeros(models, models, dtype=torch.float64), torch.ones(models, models, dtype=torch.float64)
    clipped, pending = 0, 0
    for start in range(0, samples, block):
        for roots in spheres(log_probs[:, start : start + block]).transpose(0, 1).contiguous():
            coefficient = roots @ roots.T
            clipped += int((coefficient < FLOOR).sum())
            product *= coefficient.clamp_(FLOOR, 1)
            pending += 1
            if pending == together:
                total -= product.log()
                product.fill_(1)
                pending = 0
    total = (total - product.log()) / samples
    total = ((total + total.T) / 2).fill_diagonal_(0)
    return total, clipped / max(1, samples * models * (models - 1))


def _distance(coefficient: Float[Tensor, "*m n"]) -> tuple[Float[Tensor, "*m"], float]:
    share = (coefficient < FLOOR).double().mean().item()
    return -coefficient.clamp(FLOOR, 1).log().mean(dim=-1), share


def uniform_model(samples: int, classes: int) -> Float[Tensor, "n c"]:
    """Log-probabilities of P_0, which knows nothing: every class 1/C."""
    return torch.full((samples, classes), -log(classes), dtype=torch.float64)


def true_model(labels: Int64[Tensor, " n"], classes: int) -> Float[Tensor, "n c"]:
    """Log-probabilities of P*, which is certain of every label: 0 for it and minus infinity for the others."""
    certain = torch.full((len(labels), classes), -torch.inf, dtype=torch.float64)
    return certain.scatter_(1, labels[:, None], 0.0)
