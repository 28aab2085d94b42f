"""Greyscale: the luma of ITU-R 601, as torchvision computes it, in all three channels."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.transform import Transform
from contrast.component import require

LUMA = (0.2989, 0.587, 0.114)


@dataclass(frozen=True)
class Grayscale(Transform):
    """With probability `p` (0 to 1) an image loses its colour and keeps its channels."""

    p: float = 0.2

    def __post_init__(self) -> None:
        require(0 <= self.p <= 1, self, "p", "must be from 0 to 1", "Use 0.2, as SimCLR does.")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        return grayscale_(x, random_grays(self.p, draws))


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
