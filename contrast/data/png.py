"""Decoding one image, strictly: the expected size and channels, or an error that names where it lies."""

import io
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from contrast.component import UserError

Decode = Callable[[bytes, str], np.ndarray]  # an image file's bytes and where they lie -> pixels uint8 [C, H, W]
_MODES = {1: "L", 3: "RGB"}


def decode(data: bytes, place: str, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "c h w"]:
    """The pixels of an image file's bytes; `place` says in errors where the bytes came from.

    Raises `UserError` for bytes that are no whole image, and for an image of another size or mode than `shape` (C, H, W).
    Nothing is converted: a palette, an alpha channel or another size would silently be another data set.
    """
    channels, height, width = shape
    try:
        with Image.open(io.BytesIO(data)) as image:
            found = (image.mode, image.height, image.width)
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{place}: is not a whole image ({error}). Get that file again.") from error
    wanted = (_MODES[channels], height, width)
    if found != wanted:
        raise UserError(f"{place}: has (mode, height, width) = {found}, must be {wanted}. Convert the images first.")
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)
