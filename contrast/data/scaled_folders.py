"""Images of any size as Parquet or in class folders, which are scaled to one when they are read."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from contrast.component import UserError
from contrast.data.class_folders import HELD_OUT, class_folder_files, class_names, labels_of, read_bytes, read_files
from contrast.data.content import file_hashes
from contrast.data.parquet import parquet_files, parquet_images, read_parquet
from contrast.data.scaled import SUFFIXES, decode_scaled
from contrast.data.source import Found, Split, state_of


@dataclass(frozen=True)
class Folders:
    """The folder `images` under the data root, and how its splits and class folders make the data set.

    `ids` gives the class of each name of a folder, of those it is given with the place that errors name; other folders are left out.
    `train`: the splits that are trained on, all together, of which the first must be there; `test`: of those the first that is there
    is tested on. Where the official validation split is trained on it may have a folder of its own, and never stands in for test.
    """

    images: str
    ids: Callable[[Collection[str], Path], Mapping[str, int]]
    train: tuple[str, ...] = ("train",)
    test: tuple[str, ...] = HELD_OUT


OFFICIAL_VALIDATION = ("train", "val", "validation")  # `Folders.train` of data sets whose validation split is trained on too


def find_scaled(folders: Folders, side: int, convert: bool, root: Path | None, split: Split, *official: str) -> Found:
    """The raw images of `folders` under `root`, made RGB where `convert`; raises `UserError` that names every place that was tried.

    `official`: the folders of the data set's own layout, in which nothing was found before.
    """
    if root is None or not root.is_dir():
        given, wanted = (
            "is not set" if root is None else f"= {str(root)!r}",
            " or ".join(f"{name}/" for name in (*official, folders.images)),
        )
        raise UserError(f"data {given}: must be the folder that holds {wanted}. Set CONTRAST_DATA or --data to it.")
    home, decode, shape = root / folders.images, partial(decode_scaled, side=side, convert=convert), (3, side, side)
    for first, *others in [folders.train] if split == "train" else [(name,) for name in folders.test]:
        if files := parquet_files(home, first):
            files += tuple(file for name in others for file in parquet_files(home, name))
            return Found(files, partial(read_parquet, files, decode, shape), partial(_parquet_content, files), _state(convert))
        if files := class_folder_files(home / first, SUFFIXES):
            files += tuple(file for name in others for file in class_folder_files(home / name, SUFFIXES))
            ids = folders.ids(class_names(home), home)
            files = tuple(file for file in files if file.parent.name in ids)
            return found_files(files, labels_of(files, ids), side, convert)
    own, names = [f"{root / name}/" for name in official], folders.train[:1] if split == "train" else folders.test
    tried = "; ".join([*own, *(f"{home / name}/<class>/*, {home / name}-*.parquet" for name in names)])
    raise UserError(
        f"data = {str(root)!r}: the {split} images must be in one of the places tried, and are in none: {tried}. "
        f"Put them there, or set CONTRAST_DATA or --data to the folder that holds {folders.images}/."
    )


def found_files(files: Sequence[Path], labels: np.ndarray, side: int, convert: bool = True, targets: np.ndarray | None = None) -> Found:
    """The photographs `files` with their `labels`, scaled to `side` when they are read, made RGB where `convert`.

    `targets` uint8 [N, classes] of photographs that show several classes; see `Images`.
    """
    read = partial(read_files, files, labels, partial(decode_scaled, side=side, convert=convert), (3, side, side))
    state = _state(convert, labels, *(() if targets is None else (targets,)))
    return Found(tuple(files), read, partial(_content, files), state, targets)


def _state(convert: bool, *arrays: np.ndarray) -> str:
    return f"ranked by file, {'converted' if convert else 'as it is'}, {state_of(*arrays)}"


def _content(files: Sequence[Path]) -> np.ndarray:
    return file_hashes(map(read_bytes, files))


def _parquet_content(files: Sequence[Path]) -> np.ndarray:
    return file_hashes(parquet_images(files))
