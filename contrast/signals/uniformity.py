"""Uniformity: how evenly features fill the unit sphere. Smaller (more negative) is more uniform, 0 is collapse.

Wang and Isola, 2020; PROTOCOL 2.9. On unit vectors |x - y|^2 = 2 - 2 x.y, so the exponent is 2t (x.y - 1): one matrix
product a chunk of rows and a running logsumexp, exact, with no N x N matrix.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

_CHUNK = 512


def uniformity(features: Float[Tensor, "n d"], t: float = 2.0) -> Float[Tensor, ""]:
    """log mean_{i<j} exp(-t |x_i - x_j|^2) of the L2-normalised rows, between -4t and 0; `ValueError` below two rows.

    Products are taken in the features' precision, sums in float64.
    """
    n = len(features)
    if n < 2:
        raise ValueError(f"uniformity compares pairs, and there are {n} samples. Give two or more.")
    unit = normalize(features, dim=1)
    parts = []
    for start in range(0, n - 1, _CHUNK):
        rows = unit[start : start + _CHUNK]
        exponent = 2 * t * ((rows @ unit[start:].T).double() - 1)
        counted = torch.ones_like(exponent, dtype=torch.bool).tril()
        parts.append(exponent.masked_fill(counted, -torch.inf).logsumexp(dim=(0, 1)))
    return torch.stack(parts).logsumexp(dim=0) - math.log(n * (n - 1) / 2)
