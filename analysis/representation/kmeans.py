"""K-means: Lloyd's iterations of several restarts at once, begun by k-means++ (Arthur and Vassilvitskii, 2007), METRICS 7.

The nearest centre has the largest 2 x.c - |c|^2, so that one matrix product compares all points with the centres of all restarts, and
another one adds the points up by centre. Which points k-means++ begins with follows from given numbers: nothing else is random.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn.functional import one_hot

_CELLS = 1 << 22  # products of points and centres held at once
_ITERATIONS = 300


class Clusters(NamedTuple):
    """`labels` int64 [n] of clusters by size, the largest is 0; `centres` [k, d]; `inertia`, the sum of squared distances."""

    labels: Int64[Tensor, " n"]
    centres: Float[Tensor, "k d"]
    inertia: float


def kmeans(x: Float[Tensor, "n d"], draws: Float64[Tensor, "r k"]) -> Clusters:
    """The best of r restarts with k clusters, k at most n; `draws` in [0, 1) say where each begins.

    Where fewer than k points differ, the clusters that are left over stay empty. Raises `ValueError` for k above n.
    """
    if draws.shape[1] > len(x):
        raise ValueError(f"k = {draws.shape[1]}: must be at most {len(x)}, the points there are.")
    labels, centres = lloyd(x, plus_plus(x, draws))
    inertia = torch.stack([_inertia(x, row, centre) for row, centre in zip(labels, centres, strict=True)])
    best = int(inertia.argmin())
    sizes = labels[best].bincount(minlength=draws.shape[1])
    order = sizes.argsort(descending=True, stable=True)
    return Clusters(order.argsort()[labels[best]], centres[best, order], float(inertia[best]))


def plus_plus(x: Float[Tensor, "n d"], draws: Float64[Tensor, "r k"]) -> Float[Tensor, "r k d"]:
    """First centres: a point at random, then each time one with a probability that grows with its squared distance to those chosen."""
    chosen = (draws[:, 0] * len(x)).long()
    squares, centres = x.square().sum(dim=1), [x[chosen]]
    nearest = torch.full((len(draws), len(x)), torch.inf, dtype=x.dtype)
    for step in draws.T[1:]:
        last = centres[-1]
        nearest = torch.minimum(nearest, squares - 2 * last @ x.T + last.square().sum(dim=1, keepdim=True)).clamp(min=0)
        below = nearest.double().cumsum(dim=1)
        chosen = torch.searchsorted(below, (step * below[:, -1])[:, None], right=True)[:, 0]
        centres.append(x[chosen.clamp(max=len(x) - 1)])
    return torch.stack(centres, dim=1)


def lloyd(x: Float[Tensor, "n d"], centres: Float[Tensor, "r k d"]) -> tuple[Int64[Tensor, "r n"], Float[Tensor, "r k d"]]:
    """Labels and centres of each restart once no point changes its cluster, after 300 iterations at the latest.

    A cluster that has lost its points begins again at the point farthest from its centre.
    """
    labels = _nearest(x, centres)
    for _ in range(_ITERATIONS):
        centres = _means(x, labels, centres)
        before, labels = labels, _nearest(x, centres)
        if torch.equal(before, labels):
            break
    return labels, centres


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    """The nearest centre [r, n] of every point."""
    restarts, k, width = centres.shape
    flat = centres.reshape(-1, width)
    parts = [
        torch.addmm(-flat.square().sum(dim=1), some, flat.T, alpha=2).view(-1, restarts, k).argmax(dim=2)
        for some in x.split(max(1, _CELLS // (restarts * k)))
    ]
    return torch.cat(parts).T.contiguous()


def _means(x: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """The mean of the points of every cluster [r, k, d]; that of an empty one is a point far from its own centre."""
    restarts, k, width = centres.shape
    step = max(1, _CELLS // (restarts * k))
    counts, sums = x.new_zeros(restarts, k), x.new_zeros(restarts * k, width)
    for some, of in zip(x.split(step), labels.T.split(step), strict=True):
        belongs = one_hot(of, k).to(x.dtype)
        counts += belongs.sum(dim=0)
        sums += belongs.view(len(some), -1).T @ some
    means = sums.view_as(centres) / counts.clamp(min=1)[..., None]
    for restart in torch.nonzero((counts == 0).any(dim=1))[:, 0].tolist():
        away = (x - means[restart, labels[restart]]).square().sum(dim=1)
        empty = torch.nonzero(counts[restart] == 0)[:, 0]
        farthest = away.argsort(descending=True, stable=True)[: len(empty)]
        differs = away[farthest, None] > 8 * torch.finfo(x.dtype).eps * x.square().sum(dim=1).max()  # and not by rounding
        means[restart, empty] = torch.where(differs, x[farthest], centres[restart, empty])
    return means


def _inertia(x: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    return (x.double() - centres.double()[labels]).square().sum()
