"""Oxford 102 Flowers: 8,189 colour images of 102 flowers (Nilsback and Zisserman, 2008)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from contrast.component import MOST_PIXELS, UserError, require_count
from contrast.data.class_folders import ranked_ids
from contrast.data.dataset import Dataset, Images, Metric
from contrast.data.listed import Pairs, find_listed
from contrast.data.matlab import integers, variable
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.scaled_folders import OFFICIAL_VALIDATION, Folders
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDERS = Folders("flowers102", partial(ranked_ids, count=102, order=None), train=OFFICIAL_VALIDATION, test=("test",))


@dataclass(frozen=True, kw_only=True)
class Flowers102(Dataset):
    """102 Flowers in `<root>/flowers-102` (`jpg/`, `imagelabels.mat`, `setid.mat`), or Parquet or class folders in `<root>/flowers102`.

    20 images a class, train and validation, are trained on, 6,149 tested. Class ids are the labels less 1; class folders are named
    by the labels, or all from 0. Images are scaled to `side` pixels (8 to 4096) as those of `ImageFolder`. Metric: mean per class.
    """

    side: int = 224

    metric: ClassVar[Metric] = "mean per class"
    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = 102

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the size."""
        return f"flowers102-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    return find_listed(_FOLDERS, "flowers-102", _pairs, dataset.shape[1], root, split)


def _pairs(home: Path, split: Split) -> Pairs:
    listed, file = home / "imagelabels.mat", home / "setid.mat"
    labels = integers(variable(listed, "labels"), listed, "labels")
    parts = ("trnid", "valid") if split == "train" else ("tstid",)
    numbers = np.concatenate([integers(variable(file, name), file, name) for name in parts])
    if not ((numbers >= 1) & (numbers <= len(labels))).all():
        raise UserError(f"{file}: numbers an image that is not among the {len(labels)} of imagelabels.mat. Get both files again.")
    return [(home / "jpg" / f"image_{i:05d}.jpg", int(labels[i - 1]) - 1) for i in numbers]
