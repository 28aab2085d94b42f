"""CutMix: a rectangle of an image is that of another (Yun, Han, Oh, Chun, Choe and Yoo, 2019)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.cutout import inside
from contrast.augmentations.draws import Draws
from contrast.augmentations.mix import Mix, beta


@dataclass(frozen=True)
class CutMix(Mix):
    """A rectangle of the image's proportions around a pixel drawn uniformly, of 1 - lambda of its area before its edges cut it.

    lambda is of Beta(`alpha`, `alpha`), an image's own; labels are shared by the area that is left of each.
    """

    alpha: float = 1.0

    def __call__(
        self, own: Float[Tensor, "n v c h w"], other: Float[Tensor, "n v c h w"], draws: Draws
    ) -> tuple[Float[Tensor, "n v c h w"], Float[np.ndarray, " n"]]:
        """See `Mix`."""
        height, width = own.shape[3:]
        boxes = rectangles(height, width, beta(draws, "cutmix", self.alpha), draws.uniform("cutmix/place", 2))
        covered = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (height * width)
        return cut_mix(own, other, boxes), 1 - covered


def rectangles(height: int, width: int, shares: Float[np.ndarray, " n"], place: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, "n 4"]:
    """Boxes (top, left, bottom, right; the last two excluded) whose sides are sqrt(1 - share) of the image's, centred at `place`.

    `place` is (row, column) as shares of height and width, in [0, 1). Half a side is rounded down, as torchvision does, and
    what lies outside the image is cut off.
    """
    size = np.array([height, width])
    centre = np.floor(place * size).astype(np.int64)
    half = np.floor(0.5 * np.sqrt(1 - shares)[:, None] * size).astype(np.int64)
    return np.concatenate([np.maximum(centre - half, 0), np.minimum(centre + half, size)], axis=1)


def cut_mix(
    own: Float[Tensor, "n v c h w"], other: Float[Tensor, "n v c h w"], boxes: Int[np.ndarray, "n 4"]
) -> Float[Tensor, "n v c h w"]:
    """`own`, and inside each image's box `other`."""
    return torch.where(inside(boxes, own.shape[3], own.shape[4], own.device)[:, None, None], other, own)
