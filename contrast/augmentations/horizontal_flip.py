"""Horizontal flips as part of a crop: reading the box's columns backwards costs nothing beyond the crop itself."""

import numpy as np
from jaxtyping import Bool, Int

from contrast.augmentations.draws import Draws


def random_flips(p: float, draws: Draws) -> Bool[np.ndarray, " n"]:
    """Which rows are flipped, each with probability `p`."""
    return draws.uniform("horizontal_flip", 1)[:, 0] < p


def horizontal_flip(boxes: Int[np.ndarray, "n 4"], flipped: Bool[np.ndarray, " n"]) -> Int[np.ndarray, "n 4"]:
    """Boxes (top, left, height, width) for `resized_crop` that give the mirrored crop where `flipped` is true."""
    top, left, height, width = boxes.T
    return np.stack([top, np.where(flipped, left + width, left), height, np.where(flipped, -width, width)], axis=1)
