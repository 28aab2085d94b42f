"""Images in one folder a class: `<split>/<class>/*.png`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contrast.component import UserError
from contrast.data.png import decode


def class_folder_files(folder: Path) -> tuple[Path, ...]:
    """The images `<class>/*.png` in `folder`, sorted."""
    return tuple(sorted(folder.glob("*/*.png")))


def read_class_folders(files: Sequence[Path], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [N, C, H, W] and labels int64 [N].

    A class's id is its folder's name where all names are numbers, else the place of the name among the sorted names.
    Raises `UserError` for an image that cannot be read or has another size or mode than `shape`.
    """
    names = sorted({file.parent.name for file in files})
    ids = {name: int(name) for name in names} if all(name.isdecimal() for name in names) else {name: i for i, name in enumerate(names)}
    labels = np.array([ids[file.parent.name] for file in files], dtype=np.int64)
    return np.stack([decode(_bytes(file), str(file), shape) for file in files]), labels


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}). Check its permissions.") from error
