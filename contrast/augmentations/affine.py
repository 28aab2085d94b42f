"""Affine maps, each image with its own, by the nearest pixel, as torchvision does them; outside the image lies `fill`.

A map is a row of `matrices` [n, 2, 3] in numpy: it takes a place (x, y, 1) of the output to its place in the input, both
in pixels from the centre of the image.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

Matrices = Float[np.ndarray, "n 2 3"]
Numbers = Float[np.ndarray, " n"]


def affine(x: Float[Tensor, "n c h w"], matrices: Matrices, fill: float) -> Float[Tensor, "n c h w"]:
    """Each image under its own map; equals torchvision's `affine(..., interpolation=NEAREST, fill=fill)`."""
    height, width = x.shape[-2:]
    columns, rows = _centred(width, x)[None, None, :], _centred(height, x)[None, :, None]
    (a, b, c), (d, e, f) = (part.unbind(1) for part in torch.from_numpy(matrices).to(x.device, x.dtype)[..., None, None].unbind(1))
    to_x, to_y = a * columns + b * rows + c, d * columns + e * rows + f
    grid = torch.stack([to_x / (0.5 * width), to_y / (0.5 * height)], dim=-1)
    inside = (to_x.abs() <= 0.5 * width) & (to_y.abs() <= 0.5 * height)
    moved = grid_sample(x, grid, mode="nearest", padding_mode="border", align_corners=False)
    return moved.masked_fill_(~inside[:, None], fill)


def rotations(degrees: Numbers) -> Matrices:
    """Counterclockwise turns about the centre."""
    cos, sin, zero = np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), np.zeros_like(degrees)
    return _matrices((cos, -sin, zero), (sin, cos, zero))


def shears_x(slopes: Numbers, height: int) -> Matrices:
    """Rows shifted to the left by `slopes` pixels for each row below the top edge."""
    one, zero = np.ones_like(slopes), np.zeros_like(slopes)
    return _matrices((one, slopes, slopes * height / 2), (zero, one, zero))


def shears_y(slopes: Numbers, width: int) -> Matrices:
    """Columns shifted upwards by `slopes` pixels for each column right of the left edge."""
    one, zero = np.ones_like(slopes), np.zeros_like(slopes)
    return _matrices((one, zero, zero), (slopes, one, slopes * width / 2))


def translations(right: Numbers, down: Numbers) -> Matrices:
    """Shifts in pixels."""
    one, zero = np.ones_like(right), np.zeros_like(right)
    return _matrices((one, zero, -right), (zero, one, -down))


def _matrices(to_x: tuple[np.ndarray, ...], to_y: tuple[np.ndarray, ...]) -> Matrices:
    return np.stack([np.stack(to_x, axis=-1), np.stack(to_y, axis=-1)], axis=1)


def _centred(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2
