"""Decoded images, once per node: memory-mapped arrays that all workers share, sorted by class and then by content.

An entry's folder is named by a key of the data set, the split and the source files' paths, sizes and times. It is built in
a temporary folder and renamed, so it is whole or absent, and two processes that build at once only waste time. A process
compares the arrays with their checksums when it first opens an entry; one that differs by a byte is built again.
"""

import hashlib
import json
import os
import shutil
import time
import uuid
from contextlib import suppress
from functools import cache as once
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
_PIXELS, _LABELS, _TARGETS, _FILES, _ABOUT = "pixels.npy", "labels.npy", "targets.npy", "files.npy", "about.json"
_ROWS = 1024  # written at once
_ABANDONED = 3600.0  # seconds after which a build counts as abandoned


class Decoded(NamedTuple):
    """All images of one split: `pixels` uint8 [N, C, H, W], read-only memory map, and class ids `labels` int64 [N], ascending.

    Within a class images lie in order of rank, so the first image of a class has rank 0. `targets` uint8 [N, classes] of images that
    show several classes, `files` uint8 [N, bytes] of images that are ranked by them; see `Images`.
    """

    pixels: np.ndarray
    labels: np.ndarray
    targets: np.ndarray | None = None
    files: np.ndarray | None = None


def open_decoded(dataset: Dataset, split: Split, found: Found, cache: Path) -> Decoded:
    """The decoded images of `found`, from `cache`, which is filled first where needed; a damaged entry is built again.

    Raises `UserError` for unreadable sources, for content that differs from the digests, and for a cache that cannot be written.
    """
    folder = cache / f"{dataset.name}-{split}-{_key(dataset, split, found)}"
    decoded = _open(folder)
    if decoded is None:
        pixels, labels = found.read()
        _refuse_strange_labels(dataset, split, found, labels)
        content = pixels if found.content is None else found.content()
        try:
            _build(dataset, split, pixels, labels, found.targets, content, folder)
        except OSError as error:
            cure = "Set CONTRAST_CACHE to a folder with space."
            raise UserError(f"CONTRAST_CACHE = {str(cache)!r}: cannot be written ({error.strerror or error}). {cure}") from error
        decoded = _open(folder)
    if decoded is None:
        raise UserError(f"CONTRAST_CACHE = {str(cache)!r}: {folder.name} does not read back. Set CONTRAST_CACHE to a sound disk.")
    check_pinned(dataset.name, split, {int(c): d for c, d in _about(folder).digests.items()})
    return decoded


def _key(dataset: Dataset, split: Split, found: Found) -> str:
    try:
        files = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in found.files]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}). Mend or remove the link or file.") from error
    text = json.dumps([_FORMAT, dataset.name, dataset.shape, split, files, *([found.state] if found.state else [])])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _About(NamedTuple):
    """What an entry says of itself: the digest of each class, and the checksum of each array's file."""

    digests: dict[str, str]
    files: dict[str, str]


def _about(folder: Path) -> _About:
    """Raises `ValueError` for a file that is not as it was written."""
    text = (folder / _ABOUT).read_text(encoding="utf-8")
    try:
        about = _About(**json.loads(text)["about"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"not the account of an entry ({error})") from error
    if text != _sealed(about):
        raise ValueError("altered")
    return about


def _sealed(about: _About) -> str:
    fields = about._asdict()
    return json.dumps({"about": fields, "seal": hashlib.sha256(json.dumps(fields).encode()).hexdigest()}, indent=1)


def _open(folder: Path) -> Decoded | None:
    """The entry, or None when it is absent or not as it was written."""
    try:
        about = _about(folder)
        for name, checksum in about.files.items():
            path, now = folder / name, (folder / name).stat()
            if _checksum(path, now.st_ino, now.st_size, now.st_mtime_ns) != checksum:
                return None
        pixels = np.load(folder / _PIXELS, mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / _LABELS, allow_pickle=False)
        targets, files = (np.load(folder / name, allow_pickle=False) if name in about.files else None for name in (_TARGETS, _FILES))
    except (OSError, ValueError, EOFError):
        return None
    return Decoded(pixels, labels, targets, files) if len(pixels) == len(labels) else None


@once
def _checksum(path: Path, *_version: int) -> str:
    """The checksum of a file, computed once a process as long as inode, size and time stay the same."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_strange_labels(dataset: Dataset, split: Split, found: Found, labels: np.ndarray) -> None:
    strange = (labels < 0) | (labels >= dataset.class_count)
    if strange.any():
        place = int(np.argmax(strange))
        where = found.files[place] if len(found.files) == len(labels) else found.files[0].parent if found.files else dataset.name
        rule = f"label {labels[place]} of {split} image {place} is outside the classes 0 to {dataset.class_count - 1} of {dataset.name}"
        raise UserError(f"{where}: {rule}. Mend the label, or state the right number of classes.")


def _build(
    dataset: Dataset,
    split: Split,
    pixels: np.ndarray,
    labels: np.ndarray,
    targets: np.ndarray | None,
    content: np.ndarray,
    folder: Path,
) -> None:
    words = hashes(content, targets)
    digests = class_digests(labels, words)
    folder.parent.mkdir(parents=True, exist_ok=True)
    version = f"-v{dataset.version}" if dataset.version > 1 else ""  # which may have other digests of equal images
    if unpinned := check_pinned(dataset.name, split, digests):
        check_recorded(folder.parent / f"{dataset.name}-{split}{version}.json", dataset.name, split, unpinned)
    order = content_order(labels, words)
    _sweep(folder.parent)
    building = folder.with_name(f"{_BUILDING}{uuid.uuid4().hex}")
    building.mkdir()
    try:
        arrays = {_PIXELS: pixels, _LABELS: labels, **({} if targets is None else {_TARGETS: targets})}
        if content.ndim == 2:
            arrays[_FILES] = content
        for name, array in arrays.items():
            _write(building / name, array, order)
        files = {name: _checksum(building / name) for name in arrays}
        about = _About({str(c): digest for c, digest in digests.items()}, files)
        (building / _ABOUT).write_text(_sealed(about), encoding="utf-8")
        _publish(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _sweep(cache: Path) -> None:
    """Remove what builders that were killed left behind."""
    for left in cache.glob(f"{_BUILDING}*"):
        with suppress(FileNotFoundError):  # another process sweeps too
            if left.stat().st_mtime < time.time() - _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


def _write(path: Path, array: np.ndarray, order: np.ndarray) -> None:
    """Write `array[order]`, some rows at a time, since an array of images may be larger than memory."""
    with open(path, "wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(order), _ROWS):
            file.write(np.ascontiguousarray(array[order[start : start + _ROWS]]).tobytes())
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
