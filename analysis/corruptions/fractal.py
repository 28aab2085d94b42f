"""Clouds: the diamond-square fractal, which halves the distance of its points and shrinks what it adds, again and again."""

import torch
from jaxtyping import Float64
from torch import Tensor

from analysis.corruptions.draws import Draws

_FIRST = 100.0


def plasma(draws: Draws, height: int, width: int, decay: int | float) -> Float64[Tensor, "n h w"]:
    """A cloud a sample between 0 and 1; what is added falls by `decay` at each halving, so that a larger one is smoother.

    The square whose corner it is has the next power of two for its side and is periodic.
    """
    side = 1 << (max(height, width) - 1).bit_length()
    u = 2 * draws.uniform("cloud", max(1, side * side - 1)) - 1
    field = torch.zeros(len(u), side, side, dtype=torch.float64)
    step, size, used = side, _FIRST, 0
    while step >= 2:
        half = step // 2
        corners = field[:, ::step, ::step]
        count = corners[0].numel()
        noise = size * size * u[:, used : used + 3 * count].view(-1, 3, *corners.shape[1:])
        down = corners + corners.roll(-1, 1)
        centres = (down + down.roll(-1, 2)) / 4 + noise[:, 0]
        field[:, half::step, half::step] = centres
        field[:, ::step, half::step] = (centres + centres.roll(1, 1) + corners + corners.roll(-1, 2)) / 4 + noise[:, 1]
        field[:, half::step, ::step] = (centres + centres.roll(1, 2) + corners + corners.roll(-1, 1)) / 4 + noise[:, 2]
        step, size, used = half, size / decay, used + 3 * count
    field -= field.amin((1, 2), keepdim=True)
    return (field / field.amax((1, 2), keepdim=True).clamp(min=1e-12))[:, :height, :width]
