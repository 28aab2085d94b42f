"""The operations that AutoAugment and RandAugment choose from, with one scale of strength: levels, of which 10 is the usual top.

What a level means is taken from the reference code of both (Cubuk et al., 2019, 2020; PROTOCOL 1.5). That code states
shifts and squares in pixels of 224 x 224 images; here they are shares of the image's own side. What an operation uncovers
is mid-grey.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.affine import affine, rotations, shears_x, shears_y, translations
from contrast.augmentations.color_jitter import blend_
from contrast.augmentations.cutout import erase, squares
from contrast.augmentations.rows import column
from contrast.augmentations.tone import autocontrast, equalize, invert, posterize, sharpen, solarize, solarize_add

GREY = 128 / 255
_SHIFT = 0.45  # share of the side that level 10 shifts by
_SQUARE = 40 / 224  # half the side of the square that level 10 cuts out, as a share of the image's


class Strength(NamedTuple):
    """How strongly each row is changed: a level, the sign of a turn, shear or shift, the place (row, column) of a square in [0, 1)."""

    level: Float[np.ndarray, " n"]
    sign: Float[np.ndarray, " n"]
    place: Float[np.ndarray, "n 2"]

    def take(self, rows: Int[np.ndarray, " m"]) -> "Strength":
        """The strength of some rows."""
        return Strength(self.level[rows], self.sign[rows], self.place[rows])

    def signed(self, top: float) -> Float[np.ndarray, " n"]:
        """With its sign, so that level 10 is `top`."""
        signed: np.ndarray = self.sign * self.level / 10 * top
        return signed

    def factor(self) -> Float[np.ndarray, " n"]:
        """Of brightness, contrast, colour and sharpness: 0.1 at level 0, 1 at 5, 1.9 at 10."""
        return 0.1 + 0.18 * self.level


Operation = Callable[[Tensor, Strength], Tensor]


def autocontrasted(x: Tensor, strength: Strength) -> Tensor:
    """`autocontrast`, at every level."""
    return autocontrast(x)


def equalized(x: Tensor, strength: Strength) -> Tensor:
    """`equalize`, at every level."""
    return equalize(x)


def inverted(x: Tensor, strength: Strength) -> Tensor:
    """`invert`, at every level."""
    return invert(x)


def rotated(x: Tensor, strength: Strength) -> Tensor:
    """Turned to either side, by 30 degrees at level 10."""
    return affine(x, rotations(strength.signed(30.0)), GREY)


def posterized(x: Tensor, strength: Strength) -> Tensor:
    """`posterize` to 4 bits at level 10, to fewer below."""
    bits = np.minimum(np.floor(strength.level / 10 * 4), 8)
    return posterize(x, column(bits, x).long())


def solarized(x: Tensor, strength: Strength) -> Tensor:
    """`solarize` above a threshold of 256 at level 10 (which changes nothing), of less below."""
    return solarize(x, column(np.floor(strength.level / 10 * 256), x))


def solarize_added(x: Tensor, strength: Strength) -> Tensor:
    """`solarize_add` of 110 at level 10."""
    return solarize_add(x, column(np.floor(strength.level / 10 * 110), x))


def coloured(x: Tensor, strength: Strength) -> Tensor:
    """A mix with the image in grey."""
    factor = column(strength.factor(), x)[:, 0]
    return blend_(x, factor, 0 * factor, 1 - factor)


def contrasted(x: Tensor, strength: Strength) -> Tensor:
    """A mix with the image's mean luma."""
    factor = column(strength.factor(), x)[:, 0]
    return blend_(x, factor, (1 - factor) / (x.shape[2] * x.shape[3]), 0 * factor)


def brightened(x: Tensor, strength: Strength) -> Tensor:
    """A mix with black."""
    return x.mul_(column(strength.factor(), x)).clamp_(0, 1)


def sharpened(x: Tensor, strength: Strength) -> Tensor:
    """`sharpen`: smoother below level 5, sharper above."""
    return sharpen(x, column(strength.factor(), x))


def sheared_x(x: Tensor, strength: Strength) -> Tensor:
    """Sheared along the rows, by a slope of 0.3 at level 10."""
    return affine(x, shears_x(strength.signed(0.3), x.shape[2]), GREY)


def sheared_y(x: Tensor, strength: Strength) -> Tensor:
    """Sheared along the columns, by a slope of 0.3 at level 10."""
    return affine(x, shears_y(strength.signed(0.3), x.shape[3]), GREY)


def shifted_x(x: Tensor, strength: Strength) -> Tensor:
    """Shifted by whole pixels, 45 % of the width at level 10."""
    right = np.trunc(strength.signed(_SHIFT * x.shape[3]))
    return affine(x, translations(right, np.zeros_like(right)), GREY)


def shifted_y(x: Tensor, strength: Strength) -> Tensor:
    """Shifted by whole pixels, 45 % of the height at level 10."""
    down = np.trunc(strength.signed(_SHIFT * x.shape[2]))
    return affine(x, translations(np.zeros_like(down), down), GREY)


def cut_out(x: Tensor, strength: Strength) -> Tensor:
    """A square of grey, 36 % of the side at level 10."""
    half = np.floor(strength.level / 10 * _SQUARE * min(x.shape[2:])).astype(np.int64)
    return erase(x, squares(x.shape[2], x.shape[3], half, half, strength.place), GREY)
