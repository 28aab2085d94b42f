"""Image files and the files of their masks, read together: of one size before they are scaled, and with known classes only."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image

from contrast.component import UserError
from contrast.data.class_folders import read_bytes
from contrast.data.content import file_hashes
from contrast.data.segmented import IGNORED, SegmentedImages
from contrast.data.source import Found
from contrast.data.spooled import spooled

_MASKS = ("P", "L")  # a palette's indices, or grey levels: what is stored is the class


class SceneFile(NamedTuple):
    """An image's file and that of its mask."""

    image: Path
    mask: Path


def found_scenes(scenes: Sequence[SceneFile], dataset: SegmentedImages, beside: Sequence[Path] = ()) -> Found:
    """What `select_scenes` reads; `beside` are files that decide which scenes there are. Raises `UserError` for a missing file."""
    for scene in scenes:
        for file, what in ((scene.image, "image"), (scene.mask, "mask")):
            if not file.is_file():
                other = scene.mask if what == "image" else scene.image
                raise UserError(f"{file}: the {what} that belongs to {other} is missing. Put it there, or leave that scene out.")
    files = (*beside, *(file for scene in scenes for file in scene))
    return Found(files, partial(_read, tuple(scenes), dataset), partial(_content, tuple(scenes)), state="ranked by file")


def _content(scenes: Sequence[SceneFile]) -> np.ndarray:
    """An image's file and its mask's are one content."""
    return np.concatenate([file_hashes(map(read_bytes, files)) for files in zip(*scenes, strict=True)], axis=1)


def _read(scenes: Sequence[SceneFile], dataset: SegmentedImages) -> tuple[np.ndarray, np.ndarray]:
    shape = (4, dataset.side, dataset.side)
    return spooled((read_scene(scene, dataset) for scene in scenes), shape), np.zeros(len(scenes), dtype=np.int64)


def read_scene(scene: SceneFile, dataset: SegmentedImages) -> UInt8[np.ndarray, "4 side side"]:
    """Red, green, blue and the mask. Raises `UserError`, which names the file, for what is no image, no mask of it, or no class."""
    image, mask = _opened(scene.image), _opened(scene.mask)
    if image.mode != "RGB":
        raise UserError(f"{scene.image}: is no plain colour image (mode {image.mode}, must be RGB). Convert it first.")
    if mask.mode not in _MASKS:
        cure = "Store the class of each pixel, 255 for none."
        raise UserError(f"{scene.mask}: must hold palette indices or grey levels (mode P or L), and has mode {mask.mode}. {cure}")
    if mask.size != image.size:
        sizes = f"(width, height) = {mask.size}, and {scene.image.name} has {image.size}"
        raise UserError(f"{scene.mask}: has {sizes}: a mask must have the size of its image. Get that file again.")
    _refuse_strange(np.asarray(mask), scene.mask, dataset.pixel_classes)
    return _scaled(image, mask, dataset.side, tuple(round(255 * part) for part in dataset.mean))


def _opened(file: Path) -> Image.Image:
    try:
        with Image.open(io.BytesIO(file.read_bytes())) as image:
            image.load()
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{file}: is not a whole image ({error}). Get that file again.") from error
    if orientation not in (0, 1):  # 0: unknown
        rule = f"is to be turned before it is shown (EXIF orientation {orientation}), so image and mask may not lie on each other"
        raise UserError(f"{file}: {rule}. Turn both alike, and store them without that mark.")
    return image


def _refuse_strange(mask: np.ndarray, file: Path, classes: int) -> None:
    strange = mask[(mask >= classes) & (mask != IGNORED)]
    if strange.size:
        rule = f"class {int(strange[0])} of a pixel is outside the classes 0 to {classes - 1} (and {IGNORED} for none)"
        raise UserError(f"{file}: {rule}. Mend the mask, or state the right number of classes.")


def _scaled(image: Image.Image, mask: Image.Image, side: int, fill: tuple[int, ...]) -> np.ndarray:
    width, height = (max(1, round(side * length / max(image.size))) for length in image.size)
    square = np.empty((4, side, side), dtype=np.uint8)
    square[:3] = np.array(fill, dtype=np.uint8)[:, None, None]
    square[3] = IGNORED
    square[:3, :height, :width] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    square[3, :height, :width] = np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))
    return square
