"""Greyscale: the luma of ITU-R 601, as torchvision computes it, in all three channels."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from contrast.augmentations.draws import Draws

LUMA = (0.2989, 0.587, 0.114)


def random_grays(p: float, draws: Draws) -> Bool[np.ndarray, " n"]:
    """Which rows lose their colour, each with probability `p`."""
    return draws.uniform("grayscale", 1)[:, 0] < p


def luma(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w"]:
    """The brightness of each pixel, a new tensor; of a one-channel image the image itself."""
    if x.shape[1] == 1:
        return x[:, 0].clone()
    r, g, b = x.unbind(1)
    return (r * LUMA[0]).add_(g, alpha=LUMA[1]).add_(b, alpha=LUMA[2])


def grayscale_(x: Float[Tensor, "n c h w"], grays: Bool[np.ndarray, " n"]) -> Float[Tensor, "n c h w"]:
    """Replace the images named by `grays` by their luma, in place; one-channel images stay as they are."""
    rows = torch.from_numpy(np.flatnonzero(grays)).to(x.device)
    x[rows] = luma(x[rows])[:, None].expand(-1, x.shape[1], -1, -1)
    return x
