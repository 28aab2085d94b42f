"""Spatter: drops of water on the lens at low severities, of mud at high ones.

Mud is that of the published sets. Their water takes its shading from an edge detector; here the outline of the drops is the edge.
"""

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from analysis.corruptions.borders import mirror, smooth
from analysis.corruptions.draws import Draws, Table
from analysis.corruptions.stored import stored
from contrast.augmentations.grayscale import luma

# Mean, deviation and smoothing of the noise, above what it is liquid, strength of water or smoothing of mud, whether it is mud.
_SPATTER = {
    "cifar": (
        (0.62, 0.1, 0.7, 0.7, 0.5, False),
        (0.65, 0.1, 0.8, 0.7, 0.5, False),
        (0.65, 0.3, 1, 0.69, 0.5, False),
        (0.65, 0.1, 0.7, 0.69, 0.6, True),
        (0.65, 0.1, 0.5, 0.68, 0.6, True),
    ),
    "imagenet": (
        (0.65, 0.3, 4, 0.69, 0.6, False),
        (0.65, 0.3, 3, 0.68, 0.6, False),
        (0.65, 0.3, 2, 0.68, 0.5, False),
        (0.65, 0.3, 1, 0.65, 1.5, True),
        (0.67, 0.4, 1, 0.65, 1.5, True),
    ),
}
_TURQUOISE, _BROWN = (175, 238, 238), (63, 42, 20)
_FAR = 20
_EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))

Batch = Float[Tensor, "n c h w"]


def spatter(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Drops where smoothed noise is high: water brightens, mud covers."""
    mean, deviation, sigma, least, strength, mud = _SPATTER[table][severity - 1]
    liquid = smooth(mean + deviation * draws.normal("drops", *x.shape[2:]), sigma)
    wet = liquid >= least
    if mud:
        cover = smooth((liquid > least).double(), strength)
        cover = cover.masked_fill(cover < 0.8, 0)[:, None].to(x.device)
        return x * (1 - cover) + cover * _colour(_BROWN, x)
    drops = stored(liquid.masked_fill(~wet, 0)[:, None])[:, 0] * _shading(wet)
    drops = strength * drops / drops.amax((1, 2), keepdim=True).clamp(min=1e-12)
    return x + drops[:, None].to(x.device) * _colour(_TURQUOISE, x)


def _shading(wet: Bool[Tensor, "n h w"]) -> Float64[Tensor, "n h w"]:
    """How far from the outline of its drop each pixel is, its levels spread evenly, lit from a corner."""
    distance = _box(_distance(_outline(wet))).floor()
    window = _window(_equalized(distance))
    lit = sum(weight * window[i][j] for i, row in enumerate(_EMBOSS) for j, weight in enumerate(row))
    assert isinstance(lit, Tensor)
    return _box(lit.clamp(0, 255))


def _outline(wet: Bool[Tensor, "n h w"]) -> Bool[Tensor, "n h w"]:
    """Wet pixels with a dry one beside them."""
    lines = _window(wet)
    return wet & ~(lines[0][1] & lines[1][0] & lines[1][2] & lines[2][1])


def _distance(outline: Bool[Tensor, "n h w"]) -> Float64[Tensor, "n h w"]:
    """Euclidean distance to the outline in pixels, at most 20: along the rows first, then over them."""
    near = torch.full(outline.shape, float(_FAR**2), dtype=torch.float64).masked_fill(outline, 0)
    for axis in (2, 1):
        size, best = outline.shape[axis], near.clone()
        for step in range(1, min(_FAR, size)):
            ahead, behind = near.narrow(axis, step, size - step), near.narrow(axis, 0, size - step)
            best.narrow(axis, 0, size - step).copy_(torch.minimum(best.narrow(axis, 0, size - step), ahead + step**2))
            best.narrow(axis, step, size - step).copy_(torch.minimum(best.narrow(axis, step, size - step), behind + step**2))
        near = best
    return near.clamp(max=_FAR**2).sqrt()


def _equalized(levels: Float64[Tensor, "n h w"]) -> Float64[Tensor, "n h w"]:
    """Each image's whole levels, up to 20, moved so that their histogram is as flat as can be, over 0 to 255."""
    flat = levels.flatten(1).long()
    histogram = torch.zeros(len(flat), _FAR + 1, dtype=torch.float64).scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float64))
    below = histogram.cumsum(1)
    first = below.gather(1, flat.amin(1, keepdim=True))
    table = ((below - first) / (flat.shape[1] - first).clamp(min=1) * 255).round()
    return table.gather(1, flat).view(levels.shape)


def _box(x: Tensor) -> Tensor:
    """The mean of each pixel and the eight around it."""
    return torch.stack([shifted for line in _window(x) for shifted in line]).mean(0)


def _window(x: Tensor) -> list[list[Tensor]]:
    """x moved by -1, 0 and 1 rows and columns, edges mirrored: [i][j] has at each pixel the one i - 1 rows and j - 1 columns on."""
    height, width = x.shape[1:]
    rows = [mirror(torch.arange(height) + step, height) for step in (-1, 0, 1)]
    columns = [mirror(torch.arange(width) + step, width) for step in (-1, 0, 1)]
    return [[x[:, row][:, :, column] for column in columns] for row in rows]


def _colour(levels: tuple[int, int, int], x: Tensor) -> Tensor:
    """A colour as [1, c, 1, 1], on grey images its luma."""
    colour = torch.tensor(levels, dtype=torch.float64, device=x.device).view(1, 3, 1, 1) / 255
    return colour if x.shape[1] == 3 else luma(colour)[:, None]
