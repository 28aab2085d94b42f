"""RankMe: how many directions features really use, as the exponential of an entropy. 1 is collapse, d is all directions alike.

Garrido et al., 2023, "RankMe: assessing the downstream performance of pretrained self-supervised representations by their
rank"; METRICS 7. The singular values are roots of the eigenvalues of the d x d Gram matrix, taken in float64, so memory
does not grow with the samples.
"""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from contrast.signals.moments import Moments, moments


def rankme(features: Float[Tensor, "n d"] | Moments) -> float:
    """exp(-sum p log p) of the singular values as shares p of their sum, between 1 and min(n, d); of features or their moments.

    Eigenvalues below d times the rounding error of the largest count as 0, so features of rank r give at most r. 0 where
    all features are 0, NaN where one is not finite.
    """
    known = features if isinstance(features, Moments) else moments(features)
    if not known.finite:
        return math.nan
    eigenvalues = torch.linalg.eigvalsh(known.gram)
    least = float(eigenvalues[-1]) * len(eigenvalues) * torch.finfo(torch.float64).eps
    return effective_rank(eigenvalues[eigenvalues > least].sqrt())


def effective_rank(weights: Float64[Tensor, " k"]) -> float:
    """exp(-sum p log p) of positive weights as shares p of their sum; 0 without any."""
    if not len(weights):
        return 0.0
    shares = weights / weights.sum()
    return float((-(shares * shares.log()).sum()).exp())
