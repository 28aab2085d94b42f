"""Alignment: how far apart two views of one image lie on the unit sphere. Smaller is better aligned.

Wang and Isola, 2020, "Understanding contrastive representation learning through alignment and uniformity on the
hypersphere"; PROTOCOL 2.9.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

_ROWS = 1024  # a few MB, which a core's cache holds from step to step


def alignment(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], alpha: float = 2.0) -> Float[Tensor, ""]:
    """mean_i |x_i - y_i|^alpha of the L2-normalised rows of two views; 0 when the views agree, at most 2^alpha.

    Raises `ValueError` unless both have the same shape.
    """
    if first.shape != second.shape:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"alignment compares row by row, and the views are {shapes}. Give equal shapes.")
    pairs = zip(first.split(_ROWS), second.split(_ROWS), strict=True)
    squared = torch.cat([(normalize(x, dim=1) - normalize(y, dim=1)).square().sum(dim=1) for x, y in pairs])
    return squared.pow(alpha / 2).mean()
