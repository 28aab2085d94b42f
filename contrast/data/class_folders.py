"""Images in one folder a class: `<split>/<class>/*.png`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contrast.component import UserError
from contrast.data.png import Decode
from contrast.data.spooled import spooled

LOSSLESS = (".png",)
SPLITS = ("train", "test", "val")


def class_folder_files(folder: Path, suffixes: Sequence[str] = LOSSLESS) -> tuple[Path, ...]:
    """The images `<class>/*` in `folder` whose names end in one of `suffixes`, in either case, sorted; none where there is no folder.

    Raises `UserError` for a class folder without images, where others have some.
    """
    found = {part: [file for file in part.iterdir() if file.suffix.lower() in suffixes] for part in _class_folders(folder)}
    files = tuple(sorted(file for files in found.values() for file in files))
    empty = sorted(part for part, files in found.items() if not files)
    if files and empty:
        rule = f"is a class folder without images ({', '.join(suffixes)})"
        raise UserError(f"{empty[0]}: {rule}. Put its images there, or remove the folder.")
    return files


def read_class_folders(files: Sequence[Path], decode: Decode, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [N, *shape] and labels int64 [N]; `decode(bytes, place)` makes an image of `shape`.

    A class's id is its folder's name where all names are numbers, else the place of the name among the sorted names of the
    class folders of all splits. Raises `UserError` for an image that cannot be read, named.
    """
    home = files[0].parent.parent.parent
    names = sorted({part.name for split in SPLITS for part in _class_folders(home / split)} | {file.parent.name for file in files})
    ids = {name: int(name) for name in names} if all(name.isdecimal() for name in names) else {name: i for i, name in enumerate(names)}
    labels = np.array([ids[file.parent.name] for file in files], dtype=np.int64)
    return spooled((decode(read_bytes(file), str(file)) for file in files), shape), labels


def _class_folders(folder: Path) -> list[Path]:
    return [part for part in folder.iterdir() if part.is_dir() and not part.name.startswith(".")] if folder.is_dir() else []


def read_bytes(file: Path) -> bytes:
    """The bytes of an image file; raises `UserError` when it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}). Check its permissions.") from error
