"""Colours of the whole image: brightness, contrast, saturation. On images of one channel saturation changes nothing."""

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.corruptions.draws import Draws, Table

_BRIGHTNESS = {"cifar": (0.05, 0.1, 0.15, 0.2, 0.3), "imagenet": (0.1, 0.2, 0.3, 0.4, 0.5)}
_CONTRAST = {"cifar": (0.75, 0.5, 0.4, 0.3, 0.15), "imagenet": (0.4, 0.3, 0.2, 0.1, 0.05)}
_SATURATION = {
    "cifar": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    "imagenet": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
}

Batch = Float[Tensor, "n c h w"]


def brightness(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """A constant is added to the value V of HSV, the largest of red, green and blue, up to 1."""
    value = x.amax(1, keepdim=True)
    raised = (value + _BRIGHTNESS[table][severity - 1]).clamp(max=1)
    return torch.where(value > 0, x * (raised / value.clamp(min=1e-12)), raised)


def contrast(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Every channel is drawn towards its mean over the image."""
    mean = x.double().mean((2, 3), keepdim=True)
    return (x - mean) * _CONTRAST[table][severity - 1] + mean


def saturate(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """The saturation S of HSV times a factor plus a constant, within [0, 1]; grey has the hue of red, as by convention."""
    if x.shape[1] == 1:
        return x
    factor, constant = _SATURATION[table][severity - 1]
    value = x.amax(1, keepdim=True)
    gap = value - x
    saturation = gap.amax(1, keepdim=True) / value.clamp(min=1e-12)
    wanted = (saturation * factor + constant).clamp(0, 1)
    red = torch.tensor([0.0, 1.0, 1.0], device=x.device).view(1, 3, 1, 1) * value
    return value - wanted * torch.where(saturation > 0, gap / saturation.clamp(min=1e-12), red)
