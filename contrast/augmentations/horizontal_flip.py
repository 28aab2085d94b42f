"""Horizontal flips: of images, or as part of a crop, where reading the box's columns backwards costs nothing more."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Real
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.rows import on_rows_
from contrast.augmentations.transform import Transform
from contrast.component import require


@dataclass(frozen=True)
class HorizontalFlip(Transform):
    """With probability `p` (0 to 1) an image is mirrored."""

    p: float = 0.5

    def __post_init__(self) -> None:
        require(0 <= self.p <= 1, self, "p", "must be from 0 to 1", "Use 0.5.")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        return on_rows_(x, np.flatnonzero(random_flips(self.p, draws)), lambda images: images.flip(3))


def random_flips(p: float, draws: Draws) -> Bool[np.ndarray, " n"]:
    """Which rows are flipped, each with probability `p`."""
    return draws.uniform("horizontal_flip", 1)[:, 0] < p


def horizontal_flip(boxes: Real[np.ndarray, "n 4"], flipped: Bool[np.ndarray, " n"]) -> Real[np.ndarray, "n 4"]:
    """Boxes (top, left, height, width) for `resized_crop` that give the mirrored crop where `flipped` is true."""
    top, left, height, width = boxes.T
    return np.stack([top, np.where(flipped, left + width, left), height, np.where(flipped, -width, width)], axis=1)
