"""The views of supervised cross-entropy: crop and flip, no colour (PROTOCOL 1.5, `ce_cifar`)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.horizontal_flip import horizontal_flip, random_flips
from contrast.augmentations.resized_crop import random_boxes, resized_crop
from contrast.augmentations.views import Views


@dataclass(frozen=True)
class CropFlip(Views):
    """One view: a crop of 20 to 100 % of the area, scaled back, and a flip with probability 1/2."""

    @property
    def count(self) -> int:
        """One view."""
        return 1

    @torch.no_grad()
    def __call__(self, pixels: Float[Tensor, "n c h w"], ids: Int[np.ndarray, " n"], seed: int, epoch: int) -> Float[Tensor, "n v c h w"]:
        """A crop of each image, mirrored or not; see `Views`."""
        draws = Draws(seed, ids, epoch, views=1)
        boxes = random_boxes((pixels.shape[2], pixels.shape[3]), (0.2, 1.0), draws)
        return resized_crop(pixels, horizontal_flip(boxes, random_flips(0.5, draws)))[:, None]
