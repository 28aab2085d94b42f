"""Random resized crops: cut a box out of each image and scale it to the image's own size, bilinear, without antialiasing.

The boxes are drawn as torchvision's `RandomResizedCrop` draws them: an area and an aspect ratio until the box fits, at
most ten times, else the largest central box that keeps to the ratios (PROTOCOL 1.5).
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

from contrast.augmentations.draws import Draws

ATTEMPTS = 10
RATIO = (3 / 4, 4 / 3)


def random_boxes(size: tuple[int, int], scale: tuple[float, float], draws: Draws) -> Int[np.ndarray, "n 4"]:
    """One box (top, left, height, width) in whole pixels for each row of `draws`, inside images of `size` (height, width).

    `scale` is the range of the box's share of the image's area, drawn uniformly; the aspect ratio (width over height) is
    drawn log-uniformly between 3/4 and 4/3.
    """
    height, width = size
    numbers = draws.uniform("resized_crop", 2 + 2 * ATTEMPTS)
    area = height * width * (scale[0] + numbers[:, 2::2] * (scale[1] - scale[0]))
    ratio = np.exp(math.log(RATIO[0]) + numbers[:, 3::2] * math.log(RATIO[1] / RATIO[0]))
    heights, widths = np.rint(np.sqrt(area / ratio)), np.rint(np.sqrt(area * ratio))
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = np.argmax(fits, axis=1)[:, None]
    h, w = np.take_along_axis(heights, first, 1)[:, 0], np.take_along_axis(widths, first, 1)[:, 0]
    drawn = np.stack([np.floor(numbers[:, 0] * (height - h + 1)), np.floor(numbers[:, 1] * (width - w + 1)), h, w], axis=1)
    return np.where(fits.any(axis=1, keepdims=True), drawn, _central(height, width)).astype(np.int64)


def _central(height: int, width: int) -> tuple[int, int, int, int]:
    h = min(height, round(width / RATIO[0]))
    w = min(width, round(height * RATIO[1]))
    return (height - h) // 2, (width - w) // 2, h, w


def resized_crop(x: Float[Tensor, "n c h w"], boxes: Int[np.ndarray, "n 4"]) -> Float[Tensor, "n c h w"]:
    """Each image's own box (top, left, height, width), scaled to the size of the image; one pass over the batch.

    A box with negative width is read backwards: it starts at its right edge `left` and runs `-width` pixels to the left,
    which is the mirror image of the crop. Equals torchvision's `resized_crop(..., antialias=False)` on float images.
    """
    height, width = x.shape[-2:]
    box = torch.from_numpy(boxes).to(x.device, x.dtype)
    rows = _samples(box[:, 0], box[:, 2], height)
    columns = _samples(box[:, 1], box[:, 3], width)
    grid = torch.stack([columns[:, None, :].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)], dim=-1)
    return grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _samples(start: Float[Tensor, " n"], length: Float[Tensor, " n"], size: int) -> Float[Tensor, "n size"]:
    """Where the output pixels read the input: positions in units of half images from the centre, within the box."""
    centres = (torch.arange(size, device=start.device, dtype=start.dtype) + 0.5) / size
    inset = 0.5 * length.sign()
    edges = torch.stack([start + inset, start + length - inset])
    positions = start[:, None] + centres * length[:, None]
    inside = torch.minimum(torch.maximum(positions, edges.amin(0)[:, None]), edges.amax(0)[:, None])
    return inside * (2 / size) - 1
