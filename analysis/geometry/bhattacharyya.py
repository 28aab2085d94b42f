"""Distances between probabilistic models: each model is one distribution over C classes for each of N samples.

d_B(u, v) = -mean_i log max(BC_i, FLOOR), where BC_i = sum_c sqrt(u_ic v_ic), is the Bhattacharyya distance per sample
(PROTOCOL 5.2, METRICS 3). There is one floor everywhere, so that a certain error costs 13.8 nats instead of infinity, and
every function says which share of the coefficients it clipped. Square roots of probabilities are points on spheres; the
arc between two of them is arccos BC_i, taken here from the chord, which stays exact for near points.
"""

from collections.abc import Iterator
from math import log, prod

import torch
from jaxtyping import Float, Int64
from torch import Tensor

FLOOR = 1e-6
_BLOCK_BYTES, _TILE, _TOGETHER = 4 << 20, 120, 48  # the coefficients of so many samples stay in the cache


def spheres(log_probs: Float[Tensor, "*m n c"], precision: torch.dtype = torch.float64) -> Float[Tensor, "*m n c"]:
    """Square roots of the probabilities, in float64 or another precision, renormalised: unit vectors even where the input was rounded."""
    roots = (0.5 * log_probs.to(precision)).exp_()
    return roots.div_(torch.linalg.vector_norm(roots, dim=-1, keepdim=True))


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


def pairwise(log_probs: Float[Tensor, "m n c"], precision: torch.dtype = torch.float64) -> tuple[Float[Tensor, "m m"], float]:
    """d_B of every pair of M models, float64, symmetric with zero diagonal, and the clipped share of pairs x samples.

    Sample by sample the coefficients of all pairs are one product of the M x C square roots with themselves, of which a half is
    taken, tile by tile, in `precision` (float32 is off by about 1e-8 and takes half the time). As many samples are multiplied
    together as cannot underflow before one logarithm is taken. Memory is O(M^2), never N M^2.
    """
    models, samples, classes = log_probs.shape
    block = max(1, _BLOCK_BYTES // (8 * models * classes))
    total, clipped = torch.zeros(models, models, dtype=torch.float64), 0
    room = torch.empty(_TOGETHER * min(_TILE, models) ** 2, dtype=precision)
    for start in range(0, samples, block):
        roots = spheres(log_probs[:, start : start + block], precision).transpose(0, 1).contiguous()
        for rows, clips in _groups(_least(roots), precision):
            clipped += _add_logarithms(total, roots[rows], clips, room)
    total = -(total.triu(1) + total.triu(1).T) / samples
    return total.clamp_(min=0), clipped / max(1, samples * models * (models - 1))


def between(log_p: Float[Tensor, "k n c"], log_q: Float[Tensor, "m n c"]) -> tuple[Float[Tensor, "k m"], float]:
    """d_B of every model of one stack and every model of another, float64, and the clipped share; memory is O(K M)."""
    samples = log_p.shape[1]
    block = max(1, _BLOCK_BYTES // (8 * max(len(log_p) * len(log_q), (len(log_p) + len(log_q)) * log_p.shape[2])))
    total, clipped = torch.zeros(len(log_p), len(log_q), dtype=torch.float64), 0
    for start in range(0, samples, block):
        one, other = (spheres(stack[:, start : start + block]).transpose(0, 1) for stack in (log_p, log_q))
        coefficients = one @ other.transpose(1, 2)
        clipped += int((coefficients < FLOOR).sum())
        total -= coefficients.clamp_(FLOOR, 1).log_().sum(dim=0)
    return total / samples, clipped / (samples * total.numel())


def _least(roots: Float[Tensor, "n m c"]) -> Float[Tensor, " n"]:
    """A lower bound of every sample's coefficients of two different models.

    The square roots of a model add up to 1 or more, so a coefficient is at least the smallest root of either of the two; and of two
    different models only one can have the smallest of all.
    """
    if roots.shape[1] < 2:
        return roots.new_ones(len(roots))
    smallest = roots.amin(dim=2)
    smallest.scatter_(1, smallest.argmin(dim=1, keepdim=True), torch.inf)
    return smallest.amin(dim=1)


def _groups(least: Float[Tensor, " n"], precision: torch.dtype) -> Iterator[tuple[slice, bool]]:
    """Samples in a row whose coefficients may be multiplied, and whether some of these may be below the floor."""
    allowed, costs = -log(torch.finfo(precision).tiny), (-least.double().clamp(FLOOR, 1).log()).tolist()
    start, spent = 0, 0.0
    for i, cost in enumerate(costs):
        if i - start == _TOGETHER or spent + cost >= allowed:
            yield slice(start, i), bool(least[start:i].min() < FLOOR)
            start, spent = i, 0.0
        spent += cost
    yield slice(start, len(costs)), bool(least[start:].min() < FLOOR)


def _add_logarithms(total: Float[Tensor, "m m"], roots: Float[Tensor, "n m c"], clips: bool, room: Float[Tensor, " k"]) -> int:
    """Add the samples' logarithms of coefficients to the upper half of `total`; gives how many pairs were below the floor.

    The coefficients of a tile are written to `room`, since memory that is asked for anew takes longer than the products.
    """
    models, clipped = len(total), 0
    across = roots.transpose(1, 2)
    for top in range(0, models, _TILE):
        for left in range(top, models, _TILE):
            one, other = roots[:, top : top + _TILE], across[:, :, left : left + _TILE]
            shape = (len(roots), one.shape[1], other.shape[2])
            coefficients = torch.bmm(one, other, out=room[: prod(shape)].view(shape))
            if clips:
                clipped += int((coefficients < FLOOR).sum()) * (1 if left == top else 2)
                coefficients.clamp_(FLOOR, 1)
            total[top : top + _TILE, left : left + _TILE] += coefficients.prod(dim=0).log_()
    return clipped


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
