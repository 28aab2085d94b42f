"""Random scale, crop and flip of images together with their masks, as segmentation is usually trained."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample

from contrast.augmentations.draws import Draws
from contrast.augmentations.horizontal_flip import horizontal_flip, random_flips
from contrast.component import Component, require
from contrast.data.segmented import IGNORED


@dataclass(frozen=True)
class ScaleCrop(Component):
    """An image is scaled by a factor drawn uniformly from `scale`, cut to its former size at a random place, mirrored with probability `p`.

    Where it was made smaller it lies at a random place in the colour `fill`, with 255 around its mask. Images are read bilinear
    and masks at the nearest place of the same geometry. 0 < scale[0] <= scale[1] <= 16; `p` from 0 to 1.
    """

    scale: tuple[float, float] = (0.5, 2.0)
    p: float = 0.5

    def __post_init__(self) -> None:
        low, high = self.scale
        require(0 < low <= high <= 16, self, "scale", "must be two factors in rising order, above 0 and at most 16", "Use (0.5, 2.0).")
        require(0 <= self.p <= 1, self, "p", "must be from 0 to 1", "Use 0.5, or 0 for no mirroring.")

    @torch.no_grad()
    def __call__(
        self,
        pixels: Float[Tensor, "n c h w"],
        masks: UInt8[Tensor, "n h w"],
        fill: Float[Tensor, "1 c 1 1"],
        ids: Int[np.ndarray, " n"],
        seed: int,
        epoch: int,
    ) -> tuple[Float[Tensor, "n c h w"], UInt8[Tensor, "n h w"]]:
        """Images and masks; what happens to each follows from (`seed`, `epoch`, its id) alone."""
        draws = Draws(seed, ids, epoch, 1)
        grid = _grid(horizontal_flip(self._boxes(draws, *pixels.shape[-2:]), random_flips(self.p, draws)), pixels)
        outside = (grid.abs() > 1).any(dim=-1)
        image = grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
        mask = grid_sample(masks[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)[:, 0]
        return torch.where(outside[:, None], fill, image), mask.to(torch.uint8).masked_fill(outside, IGNORED)

    def _boxes(self, draws: Draws, height: int, width: int) -> Float[np.ndarray, "n 4"]:
        """What part of each image is seen, as (top, left, height, width) in pixels; it may be larger than the image."""
        numbers = draws.uniform("scale_crop", 3)
        factor = self.scale[0] + numbers[:, 0] * (self.scale[1] - self.scale[0])
        h, w = height / factor, width / factor
        return np.stack([numbers[:, 1] * (height - h), numbers[:, 2] * (width - w), h, w], axis=1)


def _grid(boxes: Float[np.ndarray, "n 4"], pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w 2"]:
    """Where the pixels of the crops lie in the images, in units of half images from their centres."""
    height, width = pixels.shape[-2:]
    box = torch.from_numpy(boxes).to(pixels.device, pixels.dtype)
    rows, columns = (_places(box[:, i], box[:, i + 2], size) for i, size in ((0, height), (1, width)))
    return torch.stack([columns[:, None, :].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)], dim=-1)


def _places(start: Float[Tensor, " n"], length: Float[Tensor, " n"], size: int) -> Float[Tensor, "n size"]:
    centres = (torch.arange(size, device=start.device, dtype=start.dtype) + 0.5) / size
    return (start[:, None] + centres * length[:, None]) * (2 / size) - 1
