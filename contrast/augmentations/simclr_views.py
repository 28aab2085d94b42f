"""The views of SimCLR and SupCon on small images: crop, flip, colour jitter, greyscale (PROTOCOL 1.5, `simclr_cifar`)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.color_jitter import color_jitter_, random_jitter
from contrast.augmentations.draws import Draws
from contrast.augmentations.grayscale import grayscale_, random_grays
from contrast.augmentations.horizontal_flip import horizontal_flip, random_flips
from contrast.augmentations.resized_crop import random_boxes, resized_crop
from contrast.augmentations.views import MOST_VIEWS, Views
from contrast.component import UserError, require_count


@dataclass(frozen=True)
class SimCLRViews(Views):
    """`views` (1 to 256) views: a crop of 20 to 100 % of the area; a flip, p 1/2; jitter (.4, .4, .4, .1), p 0.8; grey, p 0.2; no blur.

    Works on images of three channels or one. On one channel brightness and contrast apply, while saturation, hue and
    greyscale change nothing, as in torchvision.
    """

    views: int = 2

    def __post_init__(self) -> None:
        require_count(self, "views", MOST_VIEWS, "Use 2 for a contrastive loss.")

    @property
    def count(self) -> int:
        """As many views as asked for."""
        return self.views

    @torch.no_grad()
    def __call__(self, pixels: Float[Tensor, "n c h w"], ids: Int[np.ndarray, " n"], seed: int, epoch: int) -> Float[Tensor, "n v c h w"]:
        """Views of each image; see `Views`. Raises `UserError` for images of neither one nor three channels."""
        n, channels, height, width = pixels.shape
        if channels not in (1, 3):
            raise UserError(f"SimCLRViews needs images of 1 or 3 channels, not {channels}. Use CropViews for others.")
        draws = Draws(seed, ids, epoch, self.views)
        boxes = horizontal_flip(random_boxes((height, width), (0.2, 1.0), draws), random_flips(0.5, draws))
        jitter, grays = random_jitter((0.4, 0.4, 0.4, 0.1), 0.8, draws), random_grays(0.2, draws)
        kinds = jitter.kinds()
        order = np.argsort(kinds, kind="stable")
        out = pixels.new_empty(len(order), channels, height, width)
        for rows in np.split(order, np.cumsum(np.bincount(kinds))[:-1]):  # one kind of jitter after the other, each in place
            x = resized_crop(_take(pixels, rows // self.views), boxes[rows])
            grayscale_(color_jitter_(x, jitter.take(rows)), grays[rows])
            out.index_copy_(0, torch.from_numpy(rows).to(x.device), x)
        return out.view(n, self.views, channels, height, width)


def _take(x: Tensor, rows: np.ndarray) -> Tensor:
    return x.index_select(0, torch.from_numpy(rows).to(x.device))
