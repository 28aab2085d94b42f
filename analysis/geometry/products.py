"""Products of curvature matrices of a mean loss with vectors, a micro-batch at a time (METRICS 2, PROTOCOL 5.5).

With z the logits, J their Jacobian with respect to all weights, p = softmax z and g_i the gradient of sample i's loss:

- `hessian`: the second derivative of the mean cross-entropy;
- `ggn`: the Gauss-Newton matrix mean_i J_i' (diag p_i - p_i p_i') J_i, which for cross-entropy is the Fisher matrix;
- `fisher_mc`: mean_i g_i g_i' at labels that the network itself draws, which is the Fisher matrix in the mean;
- `fisher_empirical`: mean_i g_i g_i' at the labels of the data, which is neither.

The last three have no negative eigenvalue. Memory is what one micro-batch takes, besides the vectors. The network
computes without autocast and TF32; sums over samples are float64.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import cross_entropy

from analysis.geometry.convolution import swap_convolutions
from analysis.geometry.objective import Named, Objective, add, call, exact, zeros
from contrast.random import uniform

Operator = Literal["hessian", "ggn", "fisher_mc", "fisher_empirical"]
Product = Callable[[Float64[Tensor, "k p"]], Float64[Tensor, "k p"]]  # of vectors in rows

_Apply = Callable[[Named, bool], Sequence[Tensor]]  # (a direction, whether it is the last) -> its product, summed over a micro-batch
_MOST_NUMBERS = 1 << 25  # in the vectors that go through a micro-batch together


def hessian(objective: Objective) -> Product:
    """Reverse over reverse; vectors of one call share the first gradient."""
    slope, place = objective.slope(), objective.folded(objective.at)
    weights, net = tuple(place.values()), copy.deepcopy(objective.net)
    swap_convolutions(net)

    def local(x: Tensor, y: Tensor) -> _Apply:
        loss = cross_entropy(call(net, place, x), y, reduction="sum")
        gradient = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
        bending = [part.requires_grad for part in gradient]
        kept = [part for part, bends in zip(gradient, bending, strict=True) if bends]

        def apply(direction: Named, last: bool) -> Sequence[Tensor]:
            along = [part for part, bends in zip(direction.values(), bending, strict=True) if bends]
            return torch.autograd.grad(kept, weights, along, retain_graph=not last, materialize_grads=True)

        return apply

    folded = _product(objective, place, local, objective.labels)
    return lambda vectors: folded(vectors) + torch.stack([objective.bent(slope, vector) for vector in vectors])


def ggn(objective: Objective) -> Product:
    """Forward, then reverse."""

    def through(logits: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        p = logits.detach().softmax(dim=1)
        return logits, lambda moved: p * (moved - (p * moved).sum(dim=1, keepdim=True))

    return _squares(objective, through, objective.labels)


def fisher_empirical(objective: Objective) -> Product:
    """At the labels of the data."""
    return _squares(objective, _losses, objective.labels)


def fisher_mc(objective: Objective, ids: Int64[np.ndarray, " n"], seed: int) -> Product:
    """At one label a sample, drawn from the network's probabilities by `seed` and the sample's id alone."""
    return _squares(objective, _losses, drawn_labels(objective.logits(), ids, seed))


def drawn_labels(logits: Float64[Tensor, "n c"], ids: Int64[np.ndarray, " n"], seed: int) -> Int64[Tensor, " n"]:
    """A class a sample, with the probabilities of its logits."""
    draws = torch.from_numpy(uniform(seed, "labels of the Fisher matrix", ids, 1)).to(logits.device)
    return (logits.softmax(dim=1).cumsum(dim=1) < draws).sum(dim=1).clamp(max=logits.shape[1] - 1)


def _losses(logits: Tensor, y: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    return cross_entropy(logits, y, reduction="none"), lambda moved: moved


def _squares(
    objective: Objective, through: Callable[[Tensor, Tensor], tuple[Tensor, Callable[[Tensor], Tensor]]], labels: Tensor
) -> Product:
    """mean_i J_i' M_i J_i, J being the Jacobian of what `through` makes of logits and labels, and M what it maps J v by."""
    place = objective.folded(objective.at)
    weights = tuple(place.values())

    def local(x: Tensor, y: Tensor) -> _Apply:
        def apply(direction: Named, last: bool) -> Sequence[Tensor]:
            with forward_ad.dual_level():
                dual = {name: forward_ad.make_dual(place[name], direction[name]) for name in place}
                outputs, weigh = through(call(objective.net, dual, x), y)
                plain, moved = forward_ad.unpack_dual(outputs)
            assert moved is not None
            return torch.autograd.grad(plain, weights, weigh(moved.detach()), materialize_grads=True)

        return apply

    return _product(objective, place, local, labels)


def _product(objective: Objective, place: Named, local: Callable[[Tensor, Tensor], _Apply], labels: Tensor) -> Product:
    """The mean over samples of what `local` gives of a micro-batch, between the folded weights and the network's own."""

    def block(vectors: Tensor) -> Tensor:
        along = [objective.push(vector) for vector in vectors]
        totals = [zeros(place) for _ in along]
        with exact(vectors.device):
            for x, y in objective.batches(labels):
                apply = local(x, y)
                for i, (direction, total) in enumerate(zip(along, totals, strict=True)):
                    add(total, apply(direction, i == len(along) - 1))
        return torch.stack([objective.pull(total) for total in totals]) / objective.samples

    most = max(1, _MOST_NUMBERS // len(objective.at))
    return lambda vectors: torch.cat([block(part) for part in vectors.split(most)])
