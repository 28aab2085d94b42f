"""Weather: snow, frost and fog.

Fog is that of the published sets. Snow is theirs with the streaks of `motion`; the photographs of frosted windows that they lay
over images are not at hand here, and a drawn texture stands for them: both are no published corruptions.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from analysis.corruptions.borders import enlarged
from analysis.corruptions.draws import Draws, Table
from analysis.corruptions.fractal import plasma
from analysis.corruptions.motion import streaked
from analysis.corruptions.stored import stored
from contrast.augmentations.grayscale import luma

# Mean and deviation of the flakes' noise, how large they are, what of it is snow, length and fading of streaks, share of the image.
_SNOW = {
    "cifar": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "imagenet": (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
}
# Weights of the image and of the frost.
_FROST = {
    "cifar": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "imagenet": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
}
# Thickness, and how smooth the clouds are.
_FOG = {
    "cifar": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "imagenet": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
}
_BLUISH, _UNEVEN, _BETWEEN = (0.52, 0.61, 0.66), 0.12, 0.1  # mean of the frost, its deviation within and between images

Batch = Float[Tensor, "n c h w"]


def snow(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Flakes that fall in streaks, from above and mirrored from below, over a whitened image."""
    mean, deviation, size, least, length, fading, share = _SNOW[table][severity - 1]
    noise = enlarged(mean + deviation * draws.normal("flakes", 1, *x.shape[2:]), size)
    flakes = stored(noise.masked_fill(noise < least, 0))
    layer = streaked(flakes, int(length), fading, -135 + 90 * draws.uniform("angle", 1)[:, 0]).mul(255).round().div(255).to(x.device)
    whitened = share * x + (1 - share) * torch.maximum(x, luma(x)[:, None] * 1.5 + 0.5)
    return whitened + layer + layer.flip(2, 3)


def frost(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Ice over the image, bluish white: clouds with needles that grow in three directions."""
    own, other = _FROST[table][severity - 1]
    u = draws.uniform("needles", 3, *x.shape[2:])
    directions = 180 * draws.uniform("angles", 3)
    needles = [streaked((u[:, i : i + 1] > 0.97).double(), 8, 4.0, directions[:, i]) for i in range(3)]
    ice = _standard(plasma(draws, x.shape[2], x.shape[3], 2.0)) + _standard(torch.stack(needles).amax(0)[:, 0])
    tint = torch.tensor(_BLUISH if x.shape[1] == 3 else (sum(_BLUISH) / 3,), dtype=torch.float64).view(1, -1, 1, 1)
    bright = tint + _BETWEEN * draws.normal("window", 1, 1, 1) + _UNEVEN * _standard(ice)[:, None]
    return own * x + other * bright.clamp(0, 1).to(x.device)


def fog(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Clouds are added, and the whole is darkened to the brightest number of the image."""
    thickness, decay = _FOG[table][severity - 1]
    brightest = x.amax((1, 2, 3), keepdim=True)
    clouds = plasma(draws, x.shape[2], x.shape[3], decay)[:, None].to(x.device)
    return (x + thickness * clouds) * brightest / (brightest + thickness)


def _standard(field: Float64[Tensor, "n h w"]) -> Float64[Tensor, "n h w"]:
    """Each field less its mean, over its deviation; a constant one becomes 0."""
    centred = field - field.mean((1, 2), keepdim=True)
    return centred / centred.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-9)
