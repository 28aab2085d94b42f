"""Images of any size, brought to one: the shorter side scaled, bilinear and smoothed, then the centre cut out."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from contrast.component import UserError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what photographs are customarily normalised by
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def decode_scaled(data: bytes, place: str, side: int, convert: bool) -> UInt8[np.ndarray, "3 h w"]:
    """The pixels [3, side, side] of an image file's bytes; `place` says in errors where the bytes came from.

    `convert`: grey, palette and CMYK images become RGB as torchvision's loader makes them; else they are refused. Raises
    `UserError` for those, and for bytes that are no whole image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode, colour = image.mode, image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{place}: is not a whole image ({error}). Get that file again.") from error
    if mode != "RGB" and not convert:
        what = "a grey image where colour is needed" if mode in ("1", "L", "I;16") else "no plain colour image"
        raise UserError(f"{place}: is {what} (mode {mode}, must be RGB). Convert it first, or set convert=True.")
    shorter = min(colour.size)
    width, height = (side * length // shorter for length in colour.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    cut = colour.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))
    return np.asarray(cut).transpose(2, 0, 1)
