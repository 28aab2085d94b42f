"""Caltech-101: 8,677 colour images of 101 objects (Fei-Fei et al., 2004)."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import numpy as np

from contrast.component import MOST_PIXELS, require_count
from contrast.data.class_folders import is_image, labels_of, ranked_ids, read_bytes
from contrast.data.dataset import Dataset, Images, Metric
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.scaled_folders import Folders, find_scaled, found_files
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDER, _BACKGROUND = "caltech101/101_ObjectCategories", "BACKGROUND_Google"
_TRAIN = 30  # images a class


@dataclass(frozen=True, kw_only=True)
class Caltech101(Dataset):
    """Caltech-101 in `<root>/caltech101/101_ObjectCategories`, torchvision's layout, or Parquet or class folders in `<root>/caltech101`.

    There is no official split. As is customary, 30 images a class are trained on and all others tested: here the first 30 by the
    sha256 of their files, whatever the size. Class ids count in order of name; with `background` the clutter of BACKGROUND_Google
    is the last class there, as in the 102 classes of Kornblith et al. (2019). Images are scaled to `side` pixels (8 to 4096) as those
    of `ImageFolder`. Metric: mean per class.
    """

    background: bool = False
    side: int = 224

    metric: ClassVar[Metric] = "mean per class"
    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the number of classes and the size."""
        return f"caltech{self.class_count}-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    @property
    def class_count(self) -> int:
        """101, or 102 with the background."""
        return 102 if self.background else 101

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, Caltech101)
    if root is None or not (root / _FOLDER).is_dir():
        return find_scaled(Folders("caltech101", partial(_ids, dataset)), dataset.side, True, root, split, _FOLDER)
    home = root / _FOLDER
    ids = _ids(dataset, [part.name for part in home.iterdir() if part.is_dir()], home)
    files = [file for file in sorted(home.glob("*/*.jpg")) if file.parent.name in ids and is_image(file, (".jpg",))]
    return found_files(*_chosen(files, labels_of(files, ids), split), dataset.side)


def _ids(dataset: Caltech101, names: Collection[str], place: Path) -> dict[str, int]:
    """The background is the last class, or none."""
    without = None if dataset.background else _BACKGROUND
    return ranked_ids(names, place, count=dataset.class_count, order=lambda name: (name == _BACKGROUND, name), without=without)


def _chosen(files: list[Path], labels: np.ndarray, split: Split) -> tuple[list[Path], np.ndarray]:
    ranked = sorted((label, hashlib.sha256(read_bytes(file)).digest(), file) for label, file in zip(labels, files, strict=True))
    classes = [list(its) for _, its in groupby(ranked, lambda entry: entry[0])]
    chosen = [entry for its in classes for entry in (its[:_TRAIN] if split == "train" else its[_TRAIN:])]
    return [file for *_, file in chosen], np.array([label for label, *_ in chosen], dtype=np.int64)
