"""Motion: every point becomes a streak that fades, as ImageMagick draws it."""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from analysis.corruptions.borders import edge
from analysis.corruptions.draws import Draws, Table

# Length of the streak in pixels and deviation of its half Gaussian.
_STREAK = {"cifar": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)), "imagenet": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))}
_STEEPEST = 45

Batch = Float[Tensor, "n c h w"]


def motion_blur(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Moved along a direction of its own, at most 45 degrees from the horizontal."""
    radius, sigma = _STREAK[table][severity - 1]
    return streaked(x, radius, sigma, (2 * draws.uniform("angle", 1)[:, 0] - 1) * _STEEPEST)


def streaked(x: Batch, radius: int, sigma: int | float, degrees: Float64[Tensor, " n"]) -> Batch:
    """Each image as a mean of 2 radius + 1 copies moved by 0, 1, ... pixels along its angle, with weights of half a Gaussian.

    Moves are rounded to whole pixels, half of one down; the edges are repeated.
    """
    steps = torch.arange(2 * radius + 1, dtype=torch.float64)
    weights = torch.exp(-(steps**2) / (2 * sigma**2))
    radians = degrees * (math.pi / 180)
    moves = [(steps[:, None] * along - 0.5).ceil().long().to(x.device) for along in (torch.sin(radians), torch.cos(radians))]
    rows, columns = (torch.arange(size, device=x.device) for size in x.shape[2:])
    flat, out = x.flatten(2), torch.zeros_like(x)
    for weight, down, right in zip((weights / weights.sum()).tolist(), *moves, strict=True):
        y, z = edge(rows + down[:, None], x.shape[2]), edge(columns + right[:, None], x.shape[3])
        index = (y[:, :, None] * x.shape[3] + z[:, None, :]).flatten(1)[:, None].expand(-1, x.shape[1], -1)
        out.add_(flat.gather(2, index).view(x.shape), alpha=weight)
    return out
