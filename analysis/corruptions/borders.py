"""Images beyond their borders, and what reads there: smoothing, bilinear sampling, enlarging. Any size, one pixel too.

Everything is computed in float64, so that how a batch is split is lost in rounding before pixels become levels.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn.functional import interpolate

Border = Callable[[Tensor, int], Tensor]


def edge(places: Int[Tensor, "..."], size: int) -> Int[Tensor, "..."]:
    """a a a | a b c d | d d d."""
    return places.clamp(0, size - 1)


def mirror(places: Int[Tensor, "..."], size: int) -> Int[Tensor, "..."]:
    """d c b | a b c d | c b a: the outermost pixel is the mirror."""
    period = max(2 * (size - 1), 1)
    inside = places.remainder(period)
    return torch.minimum(inside, period - inside).clamp(max=size - 1)


def symmetric(places: Int[Tensor, "..."], size: int) -> Int[Tensor, "..."]:
    """c b a | a b c d | d c b: the mirror lies between pixels."""
    inside = places.remainder(2 * size)
    return torch.minimum(inside, 2 * size - 1 - inside)


def smooth(x: Float[Tensor, "*n h w"], sigma: int | float, truncate: int | float = 4.0, border: Border = edge) -> Float64[Tensor, "*n h w"]:
    """Gaussian smoothing of deviation `sigma` (pixels) cut at `truncate` deviations, as scipy's `gaussian_filter`."""
    down, across = (smoothing(size, sigma, truncate, border).to(x.device) for size in x.shape[-2:])
    return down @ (x.double() @ across.T)


@lru_cache(maxsize=64)
def smoothing(size: int, sigma: int | float, truncate: int | float, border: Border) -> Float64[Tensor, "size size"]:
    """The matrix of Gaussian smoothing along an axis of `size` pixels, its border included."""
    radius = int(truncate * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2) if radius else torch.ones(1, dtype=torch.float64)
    sources = border(torch.arange(size)[:, None] + offsets, size)
    return torch.zeros(size, size, dtype=torch.float64).scatter_add_(1, sources, (weights / weights.sum()).expand(size, -1).contiguous())


def sampled(
    x: Float[Tensor, "n c h w"], rows: Float64[Tensor, "n h w"], columns: Float64[Tensor, "n h w"], border: Border
) -> Float64[Tensor, "n c h w"]:
    """Each image read at fractional `rows` and `columns` of its own, bilinear between pixels."""
    height, width = x.shape[2:]
    top, left = rows.floor(), columns.floor()
    down, right = (rows - top)[:, None], (columns - left)[:, None]
    y = [border(top.long() + step, height) for step in (0, 1)]
    z = [border(left.long() + step, width) for step in (0, 1)]
    flat = x.double().flatten(2)

    def at(i: int, j: int) -> Tensor:
        index = (y[i] * width + z[j]).flatten(1)[:, None].expand(-1, x.shape[1], -1)
        return flat.gather(2, index).view(x.shape)

    upper = at(0, 0) * (1 - right) + at(0, 1) * right
    lower = at(1, 0) * (1 - right) + at(1, 1) * right
    return upper * (1 - down) + lower * down


def enlarged(x: Float[Tensor, "n c h w"], factor: int | float) -> Float64[Tensor, "n c h w"]:
    """The middle of each image enlarged by `factor` (1 or more), corners on corners, at the size of the image."""
    inner = [math.ceil(size / factor) for size in x.shape[2:]]
    outer = [round(size * factor) for size in inner]
    middle = _middle(x.double(), inner)
    return _middle(interpolate(middle, size=outer, mode="bilinear", align_corners=True), list(x.shape[2:]))


def _middle(x: Tensor, size: list[int]) -> Tensor:
    top, left = ((whole - part) // 2 for whole, part in zip(x.shape[2:], size, strict=True))
    return x[..., top : top + size[0], left : left + size[1]]
