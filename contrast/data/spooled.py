"""Many images on their way into the cache, without holding them in memory."""

import tempfile
from collections.abc import Iterable
from typing import cast

import numpy as np

from contrast.component import UserError
from contrast.data.cache_folder import cache_folder

_IN_MEMORY = 64 << 20  # bytes


def spooled(images: Iterable[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The `images`, uint8 of `shape` each, as one array [N, *shape]; beyond 64 MB it lies in a file of no name in the cache folder.

    Raises `UserError` when that cannot be written.
    """
    cache, count = cache_folder(), 0
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(cache)) as file:
            for image in images:
                file.write(np.ascontiguousarray(image, dtype=np.uint8).tobytes())
                count += 1
            size = file.tell()
            file.seek(0)
            if size <= _IN_MEMORY:
                return np.frombuffer(file.read(), dtype=np.uint8).reshape(count, *shape)
            file.flush()
            return cast("np.ndarray", np.memmap(file, dtype=np.uint8, mode="r", shape=(count, *shape)))
    except OSError as error:
        cure = "Set CONTRAST_CACHE to a folder with space."
        raise UserError(f"CONTRAST_CACHE = {str(cache)!r}: cannot be written ({error.strerror or error}). {cure}") from error
