"""Some rows of a memory map: a view, a copy, or where there are many a map of their own that all workers of the node share."""

import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from contrast.component import UserError

_SMALL = 16 << 20  # bytes of a copy that each worker may hold
_ROWS = 1024  # compared or written at once


def rows_of(pixels: UInt8[np.ndarray, "n c h w"], places: Int[np.ndarray, " m"]) -> UInt8[np.ndarray, "m c h w"]:
    """`pixels[places]`. A large copy is kept beside the file of `pixels` and compared with it when a process first opens it.

    Raises `UserError` when it cannot be written.
    """
    first = int(places[0])
    if bool(np.all(np.diff(places) == 1)):
        view: np.ndarray = pixels[first : first + len(places)]
        return view
    if len(places) * pixels[0].nbytes <= _SMALL or not isinstance(pixels, np.memmap):
        copy: np.ndarray = np.asarray(pixels)[places]
        return copy
    path = Path(str(pixels.filename)).with_name(f"rows-{hashlib.sha256(places.tobytes()).hexdigest()[:16]}.npy")
    found = _open(path, pixels, places)
    return _written(path, pixels, places) if found is None else found


def _open(path: Path, pixels: np.ndarray, places: np.ndarray) -> np.ndarray | None:
    """The map at `path` if it holds what it should."""
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if found.shape != (len(places), *pixels.shape[1:]) or found.dtype != pixels.dtype:
        return None
    chunks = range(0, len(places), _ROWS)
    same = all(np.array_equal(found[i : i + _ROWS], pixels[places[i : i + _ROWS]]) for i in chunks)
    return found if same else None


def _written(path: Path, pixels: np.ndarray, places: np.ndarray) -> np.ndarray:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            shape = (len(places), *pixels.shape[1:])
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for start in range(0, len(places), _ROWS):
                file.write(np.ascontiguousarray(pixels[places[start : start + _ROWS]]).tobytes())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(FileNotFoundError):
            temporary.unlink()
        cure = "Set CONTRAST_CACHE to a folder with space."
        raise UserError(f"CONTRAST_CACHE = {str(path.parent)!r}: cannot be written ({error.strerror or error}). {cure}") from error
    written: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return written
