"""Where raw images come from: Parquet, torchvision's layout, class folders, a download; or an error that names them all.

`find` only looks, so that the key of the cache costs no decoding; what it finds knows its files and how to read them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from contrast.component import UserError
from contrast.data.cache_folder import cache_folder
from contrast.data.class_folders import class_folder_files, class_names, labels_of, own_ids, read_files
from contrast.data.dataset import Dataset
from contrast.data.parquet import parquet_files, read_parquet
from contrast.data.png import decode
from contrast.data.torchvision_files import download, downloadable, read_torchvision, torchvision_files

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Found:
    """Raw images of one split: their files, and `read() -> (pixels uint8 [N, C, H, W], labels int64 [N])`.

    `content`: what [N, ...] is hashed to rank the samples, where it is not the pixels themselves: of images made from others those
    others, so that a sample keeps its id; of images that are scaled the hashes [N, bytes] of their files. `state`: what else than
    the files' sizes and times says whether the images are still the same. `targets` uint8 [N, classes] of images that show several
    classes; see `Images`.
    """

    files: tuple[Path, ...]
    read: Callable[[], tuple[np.ndarray, np.ndarray]]
    content: Callable[[], np.ndarray] | None = None
    state: str = ""
    targets: np.ndarray | None = None


def find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    """The raw images of `dataset` under `root`, downloaded first when nothing is there and torchvision knows the data set.

    Without a root, downloads live in the cache folder. Raises `UserError` that names every place that was tried.
    """
    home = root if root is not None else cache_folder() / "downloads"
    if root is not None and not root.is_dir():
        raise UserError(f"data = {str(root)!r}: is not a folder. Set CONTRAST_DATA or --data to the folder of images.")
    found = _look(dataset, home, split)
    if found is not None:
        return found
    folder = home / dataset.name
    tried = [str(folder / f"{split}-*.parquet"), f"torchvision's files in {home}", str(folder / split / "<class>" / "*.png")]
    if downloadable(dataset.name):
        try:
            download(home, dataset.name)
            return _torchvision(dataset, home, split)
        except OSError as error:
            tried.append(f"a download into {home} ({error})")
    given = "data is not set" if root is None else f"data = {str(root)!r}"
    places = "; ".join(f"({i}) {place}" for i, place in enumerate(tried, 1))
    raise UserError(
        f"{given}: the {split} images of {dataset.name} must be in one of the places tried, and are in none: {places}. "
        f"Set CONTRAST_DATA or --data to the folder that holds {dataset.name}/."
    )


def _look(dataset: Dataset, home: Path, split: Split) -> Found | None:
    if files := parquet_files(home / dataset.name, split):
        return Found(files, partial(read_parquet, files, partial(decode, shape=dataset.shape), dataset.shape))
    if torchvision_files(home, dataset.name):
        return _torchvision(dataset, home, split)
    if files := class_folder_files(home / dataset.name / split):
        labels = labels_of(files, own_ids(class_names(home / dataset.name), home / dataset.name))
        read = partial(read_files, files, labels, partial(decode, shape=dataset.shape), dataset.shape)
        return Found(files, read, state=state_of(labels))
    return None


def state_of(*arrays: np.ndarray) -> str:
    """Changes when an entry of the arrays does."""
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def _torchvision(dataset: Dataset, home: Path, split: Split) -> Found:
    return Found(torchvision_files(home, dataset.name), partial(read_torchvision, home, dataset.name, split))
