"""Images of any size, brought to one: the shorter side scaled, bilinear and smoothed, then the centre cut out."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from contrast.component import UserError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what photographs are customarily normalised by
_STRIP = 8  # longer side over shorter, above which only the middle is scaled: equal but for rounding of a level
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
    if mode.startswith(("I", "F")):  # which Pillow clips to 8 bits
        raise UserError(f"{place}: has more than 8 bits a channel (mode {mode}, must be RGB). Convert it first, with the range it needs.")
    if mode != "RGB" and not convert:
        what = "a grey image where colour is needed" if mode in ("1", "L") else "no plain colour image"
        raise UserError(f"{place}: is {what} (mode {mode}, must be RGB). Convert it first, or set convert=True.")
    shorter = min(colour.size)
    width, height = (side * length // shorter for length in colour.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    if max(colour.size) > _STRIP * shorter:
        return np.asarray(_middle(colour, (width, height), (left, top), side)).transpose(2, 0, 1)
    cut = colour.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))
    return np.asarray(cut).transpose(2, 0, 1)


def _middle(colour: Image.Image, size: tuple[int, int], corner: tuple[int, int], side: int) -> Image.Image:
    """The square at `corner` of the image scaled to `size`, which is not made: of a strip it would take gigabytes."""
    steps = [own / scaled for own, scaled in zip(colour.size, size, strict=True)]
    first = [step * place for step, place in zip(steps, corner, strict=True)]
    last = [min(step * (place + side), own) for step, place, own in zip(steps, corner, colour.size, strict=True)]
    return colour.resize((side, side), Image.Resampling.BILINEAR, box=(first[0], first[1], last[0], last[1]))
