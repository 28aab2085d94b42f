"""Photographs that a data set's own lists name, each with its class, in the layout of its official archive.

What reads a layout gives pairs of file and label. What is wrong with a list is told with the list's name, before any image
is decoded; an image that is named and absent, by its own.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from contrast.component import UserError
from contrast.data.scaled_folders import Folders, find_scaled, found_files
from contrast.data.source import Found, Split

Pairs = list[tuple[Path, int]]
_AGAIN = "Get the files of the data set again."


def find_listed(
    folders: Folders, official: str, pairs: Callable[[Path, Split], Pairs], side: int, root: Path | None, split: Split
) -> Found:
    """What `pairs` lists in the folder `official` under `root` where that is, else Parquet or class folders in `folders`.

    Raises `UserError` for lists that are missing or wrong, and where there is nothing, with every place that was tried.
    """
    if root is None or not (root / official).is_dir():
        return find_scaled(folders, side, True, root, split, official)
    home = root / official
    listed = pairs(home, split)
    try:
        others = pairs(home, "test" if split == "train" else "train")
    except UserError:  # what is wrong with the other list is told when it is wanted, and then both are compared
        others = []
    refuse_shared(listed, others)
    return found_listed(listed, side)


def refuse_shared(listed: Pairs, others: Pairs) -> None:
    """Refuse an image that the lists of both splits name: it would be trained on and tested."""
    if shared := sorted({file for file, _ in listed} & {file for file, _ in others}):
        rule = f"is in the lists of both training and test ({len(shared)} of {len(listed)} are)"
        raise UserError(f"{shared[0]}: {rule}. {_AGAIN}")


def found_listed(pairs: Pairs, side: int, targets: np.ndarray | None = None) -> Found:
    """The photographs of `pairs`, scaled to `side` when they are read; raises `UserError` for one that is not there, or named twice.

    `targets` uint8 [N, classes] of photographs that show several classes; see `Images`.
    """
    files, labels = tuple(file for file, _ in pairs), np.array([label for _, label in pairs], dtype=np.int64)
    if absent := [file for file in files if not file.is_file()]:
        rule = f"is named in the data set's lists and is not there ({len(absent)} of {len(files)} are not)"
        raise UserError(f"{absent[0]}: {rule}. {_AGAIN}")
    if twice := [file for file, count in Counter(files).items() if count > 1]:
        rule = f"is named more than once in the data set's lists ({len(twice)} of {len(set(files))} are)"
        raise UserError(f"{twice[0]}: {rule}. {_AGAIN}")
    return found_files(files, labels, side, targets=targets)


def rows(file: Path, columns: int = 1, cure: str = _AGAIN) -> list[list[str]]:
    """The lines of a list, each split at blanks into so many columns, of which the last may hold blanks.

    Raises `UserError` for a list that cannot be read or is empty, and for a line with fewer columns.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: must be the data set's list and cannot be read ({error}). {cure}") from error
    split = [(i, line.strip().split(maxsplit=columns - 1)) for i, line in enumerate(lines, 1) if line.strip()]
    if not split:
        raise UserError(f"{file}: is an empty list. {cure}")
    for i, parts in split:
        if len(parts) < columns:
            raise UserError(f"{file}, line {i}: must have {columns} columns, has {len(parts)}. {cure}")
    return [parts for _, parts in split]


def integer(text: str, file: Path) -> int:
    """`text` of a list as an integer; raises `UserError`."""
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{file}: holds {text!r} where an integer must be. {_AGAIN}") from None


def label(name: str, ids: Mapping[str, int], file: Path) -> int:
    """The id of the class `name`; raises `UserError` for one that has none."""
    if name not in ids:
        raise UserError(f"{file}: names the class {name!r}, which is not among the data set's {len(ids)}. {_AGAIN}")
    return ids[name]
