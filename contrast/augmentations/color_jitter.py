"""Colour jitter: brightness, contrast, saturation and hue, each image with its own factors in its own order.

The formulas are torchvision's on float images, and every operation clips to [0, 1]. Brightness, contrast and saturation
mix an image with black, with its mean luma and with its luma, so one formula with weights of each image does all three at
once, and only hue is of another kind. Images are therefore worked on in four groups, by the place of hue in their order.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.grayscale import luma
from contrast.augmentations.transform import Transform
from contrast.component import require

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_NONE = 4
_CHANNELS = (0, 1 / 3, 2 / 3)  # where red, green and blue lie on the circle of hues, in turns
_TINY = 1e-12


@dataclass(frozen=True)
class ColorJitter(Transform):
    """With probability `p` brightness, contrast, saturation and hue change, in random order, each image by its own factors.

    `strength`: the first three are uniform within so much of 1 (0 to 1), hue within so much of 0, in turns (0 to 0.5).
    """

    strength: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    p: float = 0.8

    def __post_init__(self) -> None:
        inside = all(0 <= s <= 1 for s in self.strength[:3]) and 0 <= self.strength[3] <= 0.5
        require(inside, self, "strength", "must be three from 0 to 1 and one from 0 to 0.5", "Use (0.4, 0.4, 0.4, 0.1).")
        require(0 <= self.p <= 1, self, "p", "must be from 0 to 1", "Use 0.8, as SimCLR does.")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        return color_jitter_(x, random_jitter(self.strength, self.p, draws))


class Jitter(NamedTuple):
    """Jitter of the images of a batch: which have any, their factors, and the order of the operations.

    `applied` [n]. `factors` [n, 4]: of brightness, contrast and saturation (1 changes nothing) and of hue (a shift in
    turns, 0 changes nothing). `order` [n, 4]: in each row a permutation of the four operations 0 brightness, 1 contrast,
    2 saturation, 3 hue; the first is applied first.
    """

    applied: Bool[np.ndarray, " n"]
    factors: Float[np.ndarray, "n 4"]
    order: Int[np.ndarray, "n 4"]

    def kinds(self) -> Int[np.ndarray, " n"]:
        """The place of hue in each image's order, or 4 for an image without jitter; equal kinds are done together."""
        return np.where(self.applied, np.argmax(self.order == HUE, axis=1), _NONE)

    def take(self, rows: Int[np.ndarray, " m"]) -> "Jitter":
        """The jitter of some rows."""
        return Jitter(self.applied[rows], self.factors[rows], self.order[rows])


def random_jitter(strength: tuple[float, float, float, float], p: float, draws: Draws) -> Jitter:
    """Jitter with probability `p`: factors uniform within `strength` of no change, every order equally likely."""
    numbers = draws.uniform("color_jitter", 9)
    unchanged = np.array([1.0, 1.0, 1.0, 0.0])
    factors = unchanged + (2 * numbers[:, 1:5] - 1) * np.array(strength)
    return Jitter(numbers[:, 0] < p, factors, np.argsort(numbers[:, 5:], axis=1))


def color_jitter_(x: Float[Tensor, "n c h w"], jitter: Jitter) -> Float[Tensor, "n c h w"]:
    """Jitter images in [0, 1] in place, and return them. On one-channel images saturation and hue change nothing.

    Fastest on images of one kind (`Jitter.kinds`), which need no copies.
    """
    kinds = jitter.kinds()
    for hue_place in range(4):
        rows = np.flatnonzero(kinds == hue_place)
        if len(rows) == len(x):
            _jitter_(x, jitter, hue_place)
        elif len(rows) > 0:
            index = torch.from_numpy(rows).to(x.device)
            x.index_copy_(0, index, _jitter_(x.index_select(0, index), jitter.take(rows), hue_place))
    return x


def _jitter_(x: Tensor, jitter: Jitter, hue_place: int) -> Tensor:
    operation = jitter.order.T
    factor = np.take_along_axis(jitter.factors.T, operation, axis=0)
    rest = (1 - factor) / (x.shape[2] * x.shape[3])
    weights = np.stack([factor, rest * (operation == CONTRAST), (1 - factor) * (operation == SATURATION)], axis=1)
    for step, weight in enumerate(torch.from_numpy(weights).to(x.device, x.dtype)[..., None, None].unbind(0)):
        if step != hue_place:
            blend_(x, *weight.unbind(0))
        elif x.shape[1] > 1:
            _shift_hue_(x, weight[0])
    return x


def blend_(x: Tensor, own: Tensor, of_sum: Tensor, of_luma: Tensor) -> Tensor:
    """Weighted sum of each image, the sum of its luma and its luma, clipped, in place; weights [n, 1, 1]."""
    gray = luma(x)
    mean = gray.sum((1, 2), keepdim=True).mul_(of_sum)
    return x.mul_(own[:, None]).add_(gray.mul_(of_luma).add_(mean)[:, None]).clamp_(0, 1)


def _shift_hue_(x: Tensor, shift: Tensor) -> None:
    """Turn each image's hue by `shift` [n, 1, 1], keeping each pixel's largest and smallest channel; in place.

    Without branches: with u = (x - min) / (max - min) the hue lies |1 - u_r + u_g + u_b| sixths of a turn from red, on the
    side of the larger of g and b; a channel at circular distance d (in sixths) from the hue gets u = clip(2 - d, 0, 1).
    """
    r, g, b = x.unbind(1)
    low = torch.minimum(r, g).clamp_(max=b)
    chroma = torch.maximum(r, g).clamp_(min=b).sub_(low)
    from_red = (g + b).sub_(r).sub_(low).div_(chroma.clamp(min=_TINY)).add_(1)
    hue = torch.copysign(from_red, g - b).div_(6).add_(shift)
    for channel, place in zip((r, g, b), _CHANNELS, strict=True):
        torch.add(hue, 2.5 - place, out=channel)
    x.frac_().sub_(0.5).abs_().mul_(-6).add_(2).clamp_(0, 1)
    x.mul_(chroma[:, None]).add_(low[:, None])
