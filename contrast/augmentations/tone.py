"""Tones of whole images: contrast stretched, equalised, inverted, posterised, solarised, sharpened; all as torchvision does.

Posterising, solarising and equalising work on 256 levels, to which images are rounded first.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

Batch = Float[Tensor, "n c h w"]
Column = Float[Tensor, "n 1 1 1"]
_TOP = 255.0


def autocontrast(x: Batch) -> Batch:
    """Each channel stretched to the whole of [0, 1]; a channel of one value stays."""
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat = high == low
    stretched = (x - low.masked_fill(flat, 0.0)) / (high - low).masked_fill(flat, 1.0)
    return stretched.clamp_(0, 1)


def equalize(x: Batch) -> Batch:
    """Each channel with as flat a histogram as a map of its levels can give, by the rule of PIL and torchvision."""
    levels = _levels(x).long().flatten(2)
    histogram = torch.zeros(*levels.shape[:2], 256, dtype=torch.long, device=x.device)
    histogram.scatter_add_(2, levels, torch.ones_like(levels))
    counts = histogram.cumsum(2)
    below_top = levels.shape[2] - histogram.gather(2, counts.argmax(2, keepdim=True))
    step = below_top.div(255, rounding_mode="floor")
    raised = (counts[..., :-1] + step // 2).div(step.clamp(min=1), rounding_mode="floor").clamp_(0, 255)
    table = torch.cat([torch.zeros_like(step), raised], dim=2)
    equalized = torch.where(step == 0, levels, table.gather(2, levels))
    return (equalized.view(x.shape) / _TOP).to(x.dtype)


def invert(x: Batch) -> Batch:
    """1 - x."""
    return 1 - x


def posterize(x: Batch, bits: Int[Tensor, "n 1 1 1"]) -> Batch:
    """Only the highest `bits` (0 to 8) of the 8 bits of each level are kept."""
    step = 2.0 ** (8 - bits)
    return torch.floor(_levels(x) / step) * step / _TOP


def solarize(x: Batch, threshold: Column) -> Batch:
    """Levels of `threshold` (0 to 256) or above are inverted."""
    levels = _levels(x)
    return torch.where(levels >= threshold, _TOP - levels, levels) / _TOP


def solarize_add(x: Batch, addition: Column) -> Batch:
    """`addition` (in levels, 0 or above) is added to the levels below 128, up to white."""
    levels = _levels(x)
    return torch.where(levels < 128, (levels + addition).clamp_(max=_TOP), levels) / _TOP


def sharpen(x: Batch, factor: Column) -> Batch:
    """A mix of each image (weight `factor`) and the image smoothed by a 3 x 3 window; the outermost pixels stay."""
    if x.shape[2] <= 2 or x.shape[3] <= 2:
        return x
    rows = x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:]
    inner = x[:, :, 1:-1, 1:-1]
    smooth = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * inner) / 13
    out = x.clone()
    out[:, :, 1:-1, 1:-1] = (factor * inner + (1 - factor) * smooth).clamp_(0, 1)
    return out


def _levels(x: Batch) -> Batch:
    return torch.round(x * _TOP)
