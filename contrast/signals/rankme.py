"""RankMe: how many directions features really use, as the exponential of an entropy. 1 is collapse, d is all directions alike.

Garrido et al., 2023, "RankMe: assessing the downstream performance of pretrained self-supervised representations by their
rank"; METRICS 7. The singular values are roots of the eigenvalues of the d x d Gram matrix, taken in float64, so memory
does not grow with the samples.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def rankme(features: Float[Tensor, "n d"]) -> float:
    """exp(-sum p log p) of the singular values as shares p of their sum, between 1 and min(n, d).

    Eigenvalues below d times the rounding error of the largest count as 0, so features of rank r give at most r. 0 where
    all features are 0, NaN where one is not finite.
    """
    if not features.isfinite().all():
        return math.nan
    x = features.double()
    eigenvalues = torch.linalg.eigvalsh(x.T @ x)
    least = float(eigenvalues[-1]) * len(eigenvalues) * torch.finfo(torch.float64).eps
    singular = eigenvalues[eigenvalues > least].sqrt()
    if not len(singular):
        return 0.0
    shares = singular / singular.sum()
    return float((-(shares * shares.log()).sum()).exp())
