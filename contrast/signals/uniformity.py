"""Uniformity: how evenly features fill the unit sphere. Smaller (more negative) is more uniform, 0 is collapse.

Wang and Isola, 2020; PROTOCOL 2.9. Distances do not change when the mean is taken off, |x - y|^2 = |x|^2 + |y|^2 - 2 x.y: one matrix
product a tile of pairs and a running logsumexp, with no N x N matrix.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

_TILE = 1024  # squares of 4 MB in float32, which a core's cache holds from the product to the sum


def uniformity(features: Float[Tensor, "n d"], t: float = 2.0, precision: torch.dtype | None = None) -> Float[Tensor, ""]:
    """log mean_{i<j} exp(-t |x_i - x_j|^2) of the L2-normalised rows, between -4t and 0; `ValueError` below two rows.

    `precision` is that of the products, None the features' own; exponentials are taken in the features' precision, float32 at least,
    and sums of rows in float64. With bfloat16 the mean over pairs is off by less than 1e-4 at t = 2 where thousands of features are
    spread out in 3 or more dimensions, and by up to 1e-2 where they lie in few tight clusters, whose pairs are all rounded alike. NaN
    where a feature is not finite.
    """
    n = len(features)
    if n < 2:
        raise ValueError(f"uniformity compares pairs, and there are {n} samples. Give two or more.")
    wide = features.to(torch.promote_types(features.dtype, torch.float32))
    sums = torch.stack(list(_log_sums(wide, t, precision or wide.dtype)))
    return sums.logsumexp(dim=0) - math.log(n * (n - 1) // 2)


def _log_sums(features: Float[Tensor, "n d"], t: float, precision: torch.dtype) -> Iterator[Float[Tensor, ""]]:
    """The logarithms of sums of exp(-t |x_i - x_j|^2) over tiles that together hold every pair i < j once."""
    tiles = features.split(_TILE)  # from here on a tile at a time, which stays in the cache
    centre = torch.stack([normalize(tile, dim=1).sum(dim=0) for tile in tiles]).sum(dim=0).detach() / len(features)
    scale = t / math.log(2)  # powers of 2 take a fifth of the time of powers of e
    underflow = 4 * scale > -math.log2(torch.finfo(features.dtype).tiny)
    centred = [normalize(tile, dim=1) - centre for tile in tiles]
    squares = [-scale * x.square().sum(dim=1) for x in centred]
    columns = [x.to(precision) for x in centred]
    for i, x in enumerate(centred):
        row = (2 * scale * x).to(precision)
        if len(row) > 1:
            own = (row @ columns[i].T).to(features.dtype).add_(squares[i]).add_(squares[i][:, None])
            yield _log_sum(own.masked_fill_(torch.ones_like(own, dtype=torch.bool).tril(), -torch.inf), underflow)
        for square, column in zip(squares[i + 1 :], columns[i + 1 :], strict=True):
            yield _log_sum((row @ column.T).to(features.dtype).add_(square).add_(squares[i][:, None]), underflow)


def _log_sum(exponents: Float[Tensor, "r c"], underflow: bool) -> Float[Tensor, ""]:
    """The natural logarithm of the sum of 2 to the power of a tile, which it overwrites; from its largest on if they may underflow."""
    if not underflow:
        return exponents.exp2_().sum(dim=1).double().sum().log()
    most = exponents.detach().max()
    return exponents.sub_(most).exp2_().sum(dim=1).double().sum().log() + most.double() * math.log(2)
