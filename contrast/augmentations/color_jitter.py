"""Colour jitter: brightness, contrast, saturation and hue, each image with its own factors in its own order.

The formulas are torchvision's on float images, and every operation clips to [0, 1]. Brightness, contrast and saturation
mix an image with black, with its mean luma and with its luma, so one formula with weights of each image does all three at
once, and only hue is of another kind. Images are therefore worked on in four groups, by the place of hue in their order.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.grayscale import luma

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_CHUNK = 64  # images worked on at once: their pixels and buffers stay in the processor's cache
_TINY = 1e-12


class Jitter(NamedTuple):
    """Jitter of some images of a batch: which images, their factors, and the order of the operations.

    `rows` [m]: places in the batch, each at most once. `factors` [m, 4]: of brightness, contrast and saturation (1 changes
    nothing) and of hue (a shift in turns, 0 changes nothing). `order` [m, 4]: in each row a permutation of the four
    operations 0 brightness, 1 contrast, 2 saturation, 3 hue; the first is applied first.
    """

    rows: Int[np.ndarray, " m"]
    factors: Float[np.ndarray, "m 4"]
    order: Int[np.ndarray, "m 4"]


def random_jitter(strength: tuple[float, float, float, float], p: float, draws: Draws) -> Jitter:
    """Jitter for each sample with probability `p`: factors uniform within `strength` of no change, order uniform."""
    numbers = draws.uniform("color_jitter", 9)
    rows = np.flatnonzero(numbers[:, 0] < p)
    unchanged = np.array([1.0, 1.0, 1.0, 0.0])
    factors = unchanged + (2 * numbers[rows, 1:5] - 1) * np.array(strength)
    return Jitter(rows, factors, np.argsort(numbers[rows, 5:], axis=1))


def color_jitter(x: Float[Tensor, "n c h w"], jitter: Jitter) -> Float[Tensor, "n c h w"]:
    """Images in [0, 1] with `jitter` applied to its rows. Of one-channel images saturation and hue change nothing."""
    hue_place = np.argmax(jitter.order == HUE, axis=1)
    untouched = np.setdiff1d(np.arange(len(x)), jitter.rows)
    rows, parts = [untouched], [_take(x, untouched)]
    for place in range(4):
        group = np.flatnonzero(hue_place == place)
        for chunk in np.array_split(group, len(group) // _CHUNK + 1):
            rows.append(jitter.rows[chunk])
            parts.append(_jittered_(_take(x, jitter.rows[chunk]), jitter.factors[chunk], jitter.order[chunk], place))
    return _take(torch.cat(parts), np.argsort(np.concatenate(rows)))


def _take(x: Tensor, rows: np.ndarray) -> Tensor:
    return x.index_select(0, torch.from_numpy(rows).to(x.device))


def _jittered_(x: Tensor, factors: np.ndarray, order: np.ndarray, hue_place: int) -> Tensor:
    for step in range(4):
        operation = order[:, step]
        factor = np.take_along_axis(factors, operation[:, None], axis=1)[:, 0]
        if step != hue_place:
            _blend_(x, factor, operation)
        elif x.shape[1] > 1:
            _shift_hue_(x, factor)
    return x


def _blend_(x: Tensor, factor: np.ndarray, operation: np.ndarray) -> None:
    """`factor` of the image and 1 - `factor` of black, of its mean luma or of its luma, as `operation` says; in place."""
    weights = np.stack([factor, (1 - factor) * (operation == CONTRAST), (1 - factor) * (operation == SATURATION)])
    own, of_mean, of_luma = torch.from_numpy(weights).to(x.device, x.dtype)[..., None, None]
    gray = luma(x)
    mean = gray.mean((1, 2), keepdim=True).mul_(of_mean)
    x.mul_(own[:, None]).add_(gray.mul_(of_luma).add_(mean)[:, None]).clamp_(0, 1)


def _shift_hue_(x: Tensor, shift: np.ndarray) -> None:
    """Turn the hue by `shift`, keeping each pixel's largest and smallest channel; in place.

    Without branches: with u = (x - min) / (max - min) the hue lies |1 - u_r + u_g + u_b| sixths of a turn from red, on the
    side of the larger of g and b; a channel at circular distance d (in sixths) from the hue gets u = clip(2 - d, 0, 1).
    """
    r, g, b = x.unbind(1)
    low = torch.minimum(torch.minimum(r, g), b)
    chroma = torch.maximum(torch.maximum(r, g), b).sub_(low)
    from_red = (g + b).sub_(r).sub_(low).div_(chroma.clamp(min=_TINY)).add_(1)
    hue = torch.copysign(from_red, g - b).div_(6)
    hue.add_(torch.from_numpy(shift + 2.5).to(x.device, x.dtype)[:, None, None])
    channels = torch.arange(3, device=x.device, dtype=x.dtype).view(1, 3, 1, 1) / 3
    torch.sub(hue[:, None], channels, out=x)
    x.frac_().sub_(0.5).abs_().mul_(-6).add_(2).clamp_(0, 1)
    x.mul_(chroma[:, None]).add_(low[:, None])
