"""Images in one folder a class: `<split>/<class>/*.png`."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from contrast.component import UserError
from contrast.data.png import Decode
from contrast.data.spooled import spooled

LOSSLESS = (".png",)
HELD_OUT = ("test", "val", "validation")  # the first of them that is there is the test split, where a data set does not say otherwise
_SPLITS = ("train", *HELD_OUT)
_AGAIN = "Get the files of the data set again."


def class_folder_files(folder: Path, suffixes: Sequence[str] = LOSSLESS) -> tuple[Path, ...]:
    """The images `<class>/*` in `folder` whose names end in one of `suffixes`, in either case, sorted; none where there is no folder.

    Hidden files are none. Raises `UserError` for a class folder without images, where others have some.
    """
    found = {part: [file for file in part.iterdir() if is_image(file, suffixes)] for part in _class_folders(folder)}
    files = tuple(sorted(file for files in found.values() for file in files))
    empty = sorted(part for part, files in found.items() if not files)
    if files and empty:
        rule = f"is a class folder without images ({', '.join(suffixes)})"
        raise UserError(f"{empty[0]}: {rule}. Put its images there, or remove the folder.")
    return files


def is_image(file: Path, suffixes: Sequence[str]) -> bool:
    """Whether a file's name says that it is an image; `._x.png` is what macOS lays beside one."""
    return file.suffix.lower() in suffixes and not file.name.startswith(".")


def class_names(home: Path) -> list[str]:
    """The names of the class folders of all splits in `home`, sorted, so that a class has one id in every split."""
    return sorted({part.name for split in _SPLITS for part in _class_folders(home / split)})


def own_ids(names: Collection[str], _place: Path) -> dict[str, int]:
    """The ids of class folders: their names where all are numbers, else their places in the order given."""
    return {name: int(name) if all(map(str.isdecimal, names)) else i for i, name in enumerate(names)}


def counted_ids(names: Collection[str], place: Path, *, count: int) -> dict[str, int]:
    """`own_ids`, of which those that are places must be `count`: with a folder missing they would be other classes. Raises `UserError`."""
    if not all(map(str.isdecimal, names)):
        numbered(names, count, place, "Complete the folders, or state the right number of classes.")
    return own_ids(names, place)


def ranked_ids(
    names: Collection[str], place: Path, *, count: int, order: Callable[[str], object] | None = str, without: str | None = None
) -> dict[str, int]:
    """The ids 0.. of class folders by number where all names are numbers, else by `order`; None: names give no order.

    The folder `without` is no class. Raises `UserError` unless the others are `count`.
    """
    kept = [name for name in names if name != without]
    if kept and all(map(str.isdecimal, kept)):
        return numbered(sorted(kept, key=lambda name: (int(name), name)), count, place)
    if order is None:
        rule = "must have class folders named by the official numbers of the classes, whose order is not that of their names"
        raise UserError(f"{place}: {rule}. Name them 1 to {count}.")
    return numbered(sorted(kept, key=order), count, place)  # type: ignore[arg-type]  # any order that sorts


def numbered(names: Iterable[str], count: int, place: Path | str, cure: str = _AGAIN) -> dict[str, int]:
    """The ids 0.. of the different `names` in their order; raises `UserError` unless they are `count`."""
    ids = {name: i for i, name in enumerate(dict.fromkeys(names))}
    if len(ids) != count:
        raise UserError(f"{place}: names {len(ids)} classes, must name {count}. {cure}")
    return ids


def labels_of(files: Sequence[Path], ids: Mapping[str, int]) -> np.ndarray:
    """The ids int64 [N] of the folders that the files lie in."""
    return np.array([ids[file.parent.name] for file in files], dtype=np.int64)


def read_files(files: Sequence[Path], labels: np.ndarray, decode: Decode, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [N, *shape], and the labels; `decode(bytes, place)` makes an image of `shape`.

    Raises `UserError` for an image that cannot be read, named.
    """
    return spooled((decode(read_bytes(file), str(file)) for file in files), shape), labels


def _class_folders(folder: Path) -> list[Path]:
    return [part for part in folder.iterdir() if part.is_dir() and not part.name.startswith(".")] if folder.is_dir() else []


def read_bytes(file: Path) -> bytes:
    """The bytes of an image file; raises `UserError` when it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}). Check its permissions.") from error
