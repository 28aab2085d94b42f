"""Decoded images, once per node: memory-mapped arrays that all workers share, sorted by class and then by content.

An entry's folder is named by a key of the data set, the split and the source files' paths, sizes and times. It is built in
a temporary folder and renamed, so it is whole or absent, and two processes that build at once only waste time.
"""

import hashlib
import json
import os
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contrast.component import UserError
from contrast.data.content import class_digests, content_order, hashes
from contrast.data.dataset import Dataset
from contrast.data.digests import check_pinned, check_recorded
from contrast.data.source import Found, Split

_FORMAT = 1
_BUILDING = ".building-"
_ABANDONED = 3600.0  # seconds after which a build counts as abandoned


class Decoded(NamedTuple):
    """All images of one split: `pixels` uint8 [N, C, H, W], read-only memory map, and class ids `labels` int64 [N], ascending.

    Within a class images lie in order of rank, so the first image of a class has rank 0.
    """

    pixels: np.ndarray
    labels: np.ndarray


def open_decoded(dataset: Dataset, split: Split, found: Found, cache: Path) -> Decoded:
    """The decoded images of `found`, from `cache`, which is filled first where needed; a damaged entry is built again.

    Raises `UserError` for unreadable sources, for content that differs from the digests, and for a cache that cannot be written.
    """
    folder = cache / f"{dataset.name}-{split}-{_key(dataset, split, found)}"
    decoded = _open(folder)
    if decoded is None:
        pixels, labels = found.read()
        try:
            _build(dataset, split, pixels, labels, folder)
        except OSError as error:
            cure = "Set CONTRAST_CACHE to a folder with space."
            raise UserError(f"CONTRAST_CACHE = {str(cache)!r}: cannot be written ({error.strerror}). {cure}") from error
        decoded = _open(folder)
    if decoded is None:
        raise UserError(f"CONTRAST_CACHE = {str(cache)!r}: {folder.name} does not read back. Set CONTRAST_CACHE to a sound disk.")
    check_pinned(dataset.name, split, {int(c): d for c, d in _about(folder)["digests"].items()})
    return decoded


def _key(dataset: Dataset, split: Split, found: Found) -> str:
    try:
        files = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in found.files]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}). Mend or remove the link or file.") from error
    text = json.dumps([_FORMAT, dataset.name, dataset.shape, split, files])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _about(folder: Path) -> dict[str, dict[str, str]]:
    about: dict[str, dict[str, str]] = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return about


def _open(folder: Path) -> Decoded | None:
    """The entry, or None when it is absent or its arrays are not whole; numpy compares header and size of a file it maps."""
    try:
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        _about(folder)
    except (OSError, ValueError, EOFError):
        return None
    return Decoded(pixels, labels) if len(pixels) == len(labels) else None


def _build(dataset: Dataset, split: Split, pixels: np.ndarray, labels: np.ndarray, folder: Path) -> None:
    words = hashes(pixels)
    digests = class_digests(labels, words)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if unpinned := check_pinned(dataset.name, split, digests):
        check_recorded(folder.parent / f"{dataset.name}-{split}.json", dataset.name, split, unpinned)
    order = content_order(labels, words)
    _sweep(folder.parent)
    building = folder.with_name(f"{_BUILDING}{uuid.uuid4().hex}")
    building.mkdir()
    try:
        _write(building / "pixels.npy", pixels[order])
        _write(building / "labels.npy", labels[order])
        (building / "about.json").write_text(json.dumps({"digests": digests}, indent=1), encoding="utf-8")
        _publish(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Remove what builders that were killed left behind."""
    for left in cache.glob(f"{_BUILDING}*"):
        with suppress(FileNotFoundError):  # another process sweeps too
            if left.stat().st_mtime < time.time() - _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


def _write(path: Path, array: np.ndarray) -> None:
    with open(path, "wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _publish(building: Path, folder: Path) -> None:
    """Rename onto `folder`, first removing a damaged entry; where another process was first, its entry stays."""
    if folder.exists() and _open(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        building.rename(folder)
    except OSError:
        if _open(folder) is None:
            raise
