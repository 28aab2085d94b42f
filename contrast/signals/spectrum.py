"""The eigenvalues of the covariance of features, and what is read from them: how fast they decay and how many matter.

alpha-ReQ (Agrawal et al., 2022, "alpha-ReQ: assessing representation quality in self-supervised learning by measuring
eigenspectrum decay"): the exponent of the power law lambda_i ~ i^-alpha. Representations that transfer have one near 1.
METRICS 7.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from contrast.signals.moments import Moments, moments


class PowerLaw(NamedTuple):
    """log lambda_i = offset - alpha log i, by least squares, i from 1, and the share `r2` of the variance that it explains."""

    alpha: float
    offset: float
    r2: float


def spectrum(features: Float[Tensor, "n d"] | Moments) -> Float64[Tensor, " d"]:
    """Eigenvalues of the covariance (divisor n), largest first; of features or their moments.

    Those within rounding of 0 are 0, as that of a constant feature is. All NaN where a feature is not finite.
    """
    known = features if isinstance(features, Moments) else moments(features)
    if not known.finite:
        return torch.full_like(known.total, math.nan)
    eigenvalues = torch.linalg.eigvalsh(known.covariance).flip(0)
    return torch.where(eigenvalues > known.rounding, eigenvalues, 0.0)


def power_law(eigenvalues: Float64[Tensor, " d"], first: int, last: int) -> PowerLaw:
    """The fit on ranks `first` to `last`, both counted from 1 and included; those whose eigenvalue is 0 are left out.

    NaN where fewer than three are left.
    """
    ranks = torch.arange(first, last + 1, dtype=torch.float64)
    values = eigenvalues[first - 1 : last].cpu()
    used = values > 0
    if int(used.sum()) < 3:
        return PowerLaw(math.nan, math.nan, math.nan)
    x, y = ranks[: len(values)][used].log(), values[used].log()
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx))
    rest = dy - slope * dx
    spread = float(dy @ dy)
    return PowerLaw(-slope, float(y.mean() - slope * x.mean()), 1 - float(rest @ rest) / spread if spread > 0 else 1.0)


def participation_ratio(eigenvalues: Float64[Tensor, " d"]) -> float:
    """(sum lambda)^2 / sum lambda^2, 1 to d: how many directions share the variance. 0 where there is none."""
    return float(eigenvalues.sum() ** 2 / (eigenvalues @ eigenvalues)) if eigenvalues.any() else 0.0


def stable_rank(eigenvalues: Float64[Tensor, " d"]) -> float:
    """sum lambda / lambda_1, 1 to d: |X|_F^2 / |X|_2^2 of centred features (NESum of He and Ozay, 2022). 0 where all are 0."""
    return float(eigenvalues.sum() / eigenvalues[0]) if eigenvalues.any() else 0.0
