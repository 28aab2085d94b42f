"""Views by cropping alone, for digits, whose meaning a flip or a colour would change (PROTOCOL 1.5, `randbits_mnist`)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.resized_crop import random_boxes, resized_crop
from contrast.augmentations.views import MOST_VIEWS, Views
from contrast.component import require, require_count


@dataclass(frozen=True)
class CropViews(Views):
    """`views` (1 to 256) crops of each image, each `scale[0]` to `scale[1]` of its area, scaled back to its size."""

    views: int = 2
    scale: tuple[float, float] = (0.5, 1.0)

    def __post_init__(self) -> None:
        require_count(self, "views", MOST_VIEWS, "Use 2 for a contrastive loss.")
        good = len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] <= 1
        require(good, self, "scale", "must be (smallest, largest) share of the area, within (0, 1]", "Use (0.5, 1.0) for digits.")

    @property
    def count(self) -> int:
        """As many views as asked for."""
        return self.views

    @torch.no_grad()
    def __call__(self, pixels: Float[Tensor, "n c h w"], ids: Int[np.ndarray, " n"], seed: int, epoch: int) -> Float[Tensor, "n v c h w"]:
        """Crops of each image; see `Views`."""
        n, channels, height, width = pixels.shape
        boxes = random_boxes((height, width), self.scale, Draws(seed, ids, epoch, self.views))
        return resized_crop(pixels.repeat_interleave(self.views, dim=0), boxes).view(n, self.views, channels, height, width)
