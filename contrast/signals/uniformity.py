"""Uniformity: how evenly features fill the unit sphere. Smaller (more negative) is more uniform, 0 is collapse.

Wang and Isola, 2020; PROTOCOL 2.9. On unit vectors |x - y|^2 = 2 - 2 x.y, so the exponent is 2t (x.y - 1): one matrix
product a tile of pairs and a running logsumexp, exact, with no N x N matrix.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

_TILE = 1024  # squares of 4 MB in float32, which a core's cache holds from the product to the sum


def uniformity(features: Float[Tensor, "n d"], t: float = 2.0, group: int | None = None) -> Float[Tensor, ""]:
    """log mean_{i<j} exp(-t |x_i - x_j|^2) of the L2-normalised rows, between -4t and 0; `ValueError` below two rows.

    `group`: the mean is over pairs within groups of so many consecutive rows, None is one of all. Products and exponentials are
    taken in the features' precision, sums of rows in float64. NaN where a feature is not finite.
    """
    n = len(features)
    if n < 2:
        raise ValueError(f"uniformity compares pairs, and there are {n} samples. Give two or more.")
    groups = normalize(features, dim=1).split(group or n)
    pairs = sum(len(unit) * (len(unit) - 1) // 2 for unit in groups)
    sums = torch.stack([part for unit in groups for part in _log_sums(unit, 2 * t)])
    return sums.logsumexp(dim=0) - 2 * t - math.log(pairs)


def _log_sums(unit: Float[Tensor, "n d"], scale: float) -> Iterator[Float[Tensor, ""]]:
    """The logarithms of sums of exp(scale x_i.x_j) over tiles that together hold every pair i < j once."""
    tiles = unit.split(_TILE)
    for i, tile in enumerate(tiles):
        rows = scale * tile
        own = rows @ tile.T
        yield _log_sum(own.masked_fill_(torch.ones_like(own, dtype=torch.bool).tril(), -torch.inf))
        for other in tiles[i + 1 :]:
            yield _log_sum(rows @ other.T)


def _log_sum(exponents: Float[Tensor, "r c"]) -> Float[Tensor, ""]:
    """The logsumexp of a tile, which it overwrites; -inf of one without pairs."""
    most = exponents.detach().max()
    if most == -torch.inf:
        return most.double()
    return exponents.sub_(most).exp_().sum(dim=1).double().sum().log() + most.double()
