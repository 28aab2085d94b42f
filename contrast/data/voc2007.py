"""PASCAL VOC 2007: 9,963 colour images of 20 classes of objects, of which an image may show several (Everingham et al., 2010)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from contrast.component import MOST_PIXELS, UserError, require_count
from contrast.data.dataset import IGNORED, Dataset, Images, Metric
from contrast.data.listed import found_listed, integer, refuse_shared, rows
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.select import select
from contrast.data.source import Found, Split

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse"),
    *("motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_TARGET = {1: 1, -1: 0, 0: IGNORED}  # what the lists of a class say of an image


@dataclass(frozen=True, kw_only=True)
class VOC2007(Dataset):
    """Classification of VOC 2007, read from the main image sets in `<root>/VOCdevkit/VOC2007`, as the archives unpack.

    5,011 images of trainval are trained on, 4,952 tested. A class of which an image shows only objects marked difficult is ignored
    there, as the development kit does: it is neither shown nor not shown. Class ids count in order of name, aeroplane to tvmonitor.
    Images are scaled to `side` pixels (8 to 4096) as those of `ImageFolder`. Metric: 11-point mAP.
    """

    side: int = 224

    metric: ClassVar[Metric] = "11-point mAP"
    multi_label: ClassVar[bool] = True
    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = len(CLASSES)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the size."""
        return f"voc2007-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images with their targets; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    if root is None or not (root / "VOCdevkit" / "VOC2007").is_dir():
        given = "is not set" if root is None else f"= {str(root)!r}"
        raise UserError(f"data {given}: must be the folder that holds VOCdevkit/VOC2007/. Set CONTRAST_DATA or --data to it.")
    home = root / "VOCdevkit" / "VOC2007"
    lists, (part, other) = home / "ImageSets" / "Main", ("trainval", "test") if split == "train" else ("test", "trainval")
    names = [name for (name,) in rows(lists / f"{part}.txt")]
    beside = [name for (name,) in rows(lists / f"{other}.txt")] if (lists / f"{other}.txt").is_file() else []
    targets = np.stack([_of_class(lists / f"{one}_{part}.txt", names) for one in CLASSES], axis=1)
    labels = [_first_class(name, row, lists) for name, row in zip(names, targets, strict=True)]
    pairs = [(home / "JPEGImages" / f"{name}.jpg", label) for name, label in zip(names, labels, strict=True)]
    refuse_shared(pairs, [(home / "JPEGImages" / f"{name}.jpg", 0) for name in beside])
    return found_listed(pairs, dataset.shape[1], targets)


def _of_class(file: Path, names: list[str]) -> np.ndarray:
    """The targets of one class, uint8 [N], of the images `names`."""
    said = {name: integer(number, file) for name, number in rows(file, 2)}
    wrong = [name for name in names if said.get(name) not in _TARGET]
    if wrong:
        found = f"{said[wrong[0]]}" if wrong[0] in said else "nothing"
        raise UserError(f"{file}: says {found} of image {wrong[0]}, must say 1, 0 or -1. Get the lists again.")
    return np.array([_TARGET[said[name]] for name in names], dtype=np.uint8)


def _first_class(name: str, targets: np.ndarray, lists: Path) -> int:
    """The first class that an image shows, or where all its objects are difficult the first of these."""
    for value in (1, IGNORED):
        if (targets == value).any():
            return int(np.argmax(targets == value))
    raise UserError(f"{lists}: image {name} shows none of the {len(targets)} classes. Get the lists again.")
