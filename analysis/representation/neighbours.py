"""Distances to nearest neighbours, exact, without an N x N matrix."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

_CHUNK_BYTES = 64 << 20


def neighbour_distances(x: Float[Tensor, "n d"], k: int) -> Float64[Tensor, "n k"]:
    """Euclidean distances of each row to its `k` (1 to n - 1) nearest others, smallest first.

    Who is near is seen on squared lengths and products, of k + 2 candidates; their distances are then taken from differences, so that
    equal rows are at 0 and near ones lose no digits.
    """
    x = x.double() - x.double().mean(dim=0)
    lengths = x.square().sum(dim=1)
    chunk = max(1, _CHUNK_BYTES // (8 * max(len(x), (k + 2) * x.shape[1])))
    found = []
    for start in range(0, len(x), chunk):
        rows = x[start : start + chunk]
        squared = torch.addmm(lengths, rows, x.T, alpha=-2)  # less the row's own length, which is the same for all
        squared[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = torch.inf
        near = squared.topk(min(k + 2, len(x) - 1), dim=1, largest=False).indices
        found.append((rows[:, None] - x[near]).norm(dim=2).sort(dim=1).values[:, :k])
    return torch.cat(found)
