"""Corruptions by name, and the one way in: checked images, corrupted, as a file would keep them (METRICS 5).

The constants are those of CIFAR-10-C and ImageNet-C (Hendrycks and Dietterich, 2019), whose tables differ: what ImageNet-C does to
224 pixels a side leaves little of 32. ImageNet-C was written as JPEG of quality 85 besides, which is left out here.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from analysis.corruptions.blur import defocus_blur, gaussian_blur, glass_blur, zoom_blur
from analysis.corruptions.colour import brightness, contrast, saturate
from analysis.corruptions.digital import jpeg, pixelate
from analysis.corruptions.draws import Draws, Table
from analysis.corruptions.elastic import elastic_transform
from analysis.corruptions.motion import motion_blur
from analysis.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from analysis.corruptions.spatter import spatter
from analysis.corruptions.stored import stored
from analysis.corruptions.weather import fog, frost, snow
from contrast.component import UserError

Name = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
]
Corruption = Callable[[Tensor, int, Table, Draws], Tensor]
CORRUPTIONS: dict[Name, Corruption] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "defocus_blur": defocus_blur,
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "brightness": brightness,
    "contrast": contrast,
    "elastic_transform": elastic_transform,
    "pixelate": pixelate,
    "jpeg": jpeg,
    "speckle_noise": speckle_noise,
    "gaussian_blur": gaussian_blur,
    "spatter": spatter,
    "saturate": saturate,
}
STANDARD: tuple[Name, ...] = tuple(CORRUPTIONS)[:15]
EXTRA: tuple[Name, ...] = tuple(CORRUPTIONS)[15:]
PROCEDURAL: frozenset[Name] = frozenset({"snow", "frost", "spatter"})
SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(
    x: Float[Tensor, "n c h w"], corruption: Name, severity: int, ids: Int[np.ndarray, " ids"], table: Table = "cifar"
) -> Float[Tensor, "n c h w"]:
    """Images in [0, 1], of 1 or 3 channels, under a corruption at a severity of 1 to 5; at 0 the images themselves.

    They are taken for images of 256 levels and come back as such, cut down to a level as in the published sets. What is random
    depends on a sample's id, the corruption and the severity alone. Raises `UserError` on other images or severities.
    """
    if severity not in (0, *SEVERITIES):
        raise UserError(f"severity = {severity!r}: must be an integer from 1 to 5, or 0 for no corruption. Use 3 for the middle one.")
    if len(x) == 0 or not (x.amin() >= 0 and x.amax() <= 1):
        found = f"{len(x)} images" if len(x) == 0 else f"images from {x.amin().item():g} to {x.amax().item():g}"
        raise UserError(f"x = {found}: must be images in [0, 1]. Divide pixels by 255, and corrupt before normalisation.")
    if x.shape[1] not in (1, 3) or len(ids) != len(x):
        raise UserError(f"x = {tuple(x.shape)}, ids = {len(ids)}: must be images of 1 or 3 channels, an id each. Leave other channels out.")
    if severity == 0:
        return x
    levels = (x * 255).round() / 255
    return stored(CORRUPTIONS[corruption](levels, severity, table, Draws(ids, corruption, severity)))
