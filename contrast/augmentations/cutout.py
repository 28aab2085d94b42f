"""Cutout: a square of one value around a random place, partly outside where that is near an edge (DeVries and Taylor, 2017)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.transform import Transform
from contrast.component import MOST_PIXELS, require, require_count


@dataclass(frozen=True)
class Cutout(Transform):
    """A square of `side` pixels (1 to 4096), centred on a pixel drawn uniformly, becomes `fill` (0 to 1, 0 is black)."""

    side: int = 16
    fill: float = 0.0

    def __post_init__(self) -> None:
        require_count(self, "side", MOST_PIXELS, "Use 16 for images of 32 pixels.")
        require(0 <= self.fill <= 1, self, "fill", "must be from 0 to 1", "Use 0 for black.")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        before = np.full(len(x), self.side // 2)
        boxes = squares(x.shape[2], x.shape[3], before, self.side - before, draws.uniform("cutout", 2))
        return erase(x, boxes, self.fill)


def squares(
    height: int, width: int, before: Int[np.ndarray, " n"], after: Int[np.ndarray, " n"], place: Float[np.ndarray, "n 2"]
) -> Int[np.ndarray, "n 4"]:
    """Boxes (top, left, bottom, right), the last two excluded, from `before` pixels before the pixel at `place` to `after` behind.

    `place` is (row, column) as shares of height and width, in [0, 1). What lies outside the image is cut off.
    """
    centre = np.floor(place * np.array([height, width])).astype(np.int64)
    ends = np.minimum(centre + after[:, None], np.array([height, width]))
    return np.concatenate([np.maximum(centre - before[:, None], 0), ends], axis=1)


def erase(x: Float[Tensor, "n c h w"], boxes: Int[np.ndarray, "n 4"], fill: float) -> Float[Tensor, "n c h w"]:
    """Each image with its own box (top, left, bottom, right; the last two excluded) set to `fill`, in place."""
    return x.masked_fill_(inside(boxes, x.shape[2], x.shape[3], x.device)[:, None], fill)


def inside(boxes: Int[np.ndarray, "n 4"], height: int, width: int, device: torch.device) -> Bool[Tensor, "n h w"]:
    """Which pixels of images of this size lie in each box."""
    top, left, bottom, right = torch.from_numpy(boxes).to(device)[..., None, None].unbind(1)
    rows = torch.arange(height, device=device)[None, :, None]
    columns = torch.arange(width, device=device)[None, None, :]
    return (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
