"""Digits: scikit-learn's 1,797 grey images of handwritten digits, 8 x 8; part of the installation, so nothing to download."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import numpy as np

from contrast.data.content import content_order, hashes
from contrast.data.dataset import Dataset, Images
from contrast.data.select import select
from contrast.data.source import Found, Split


@dataclass(frozen=True)
class Digits(Dataset):
    """The digits of scikit-learn, values 0..16 scaled to 0..255, with the mean and standard deviation of the training pixels.

    They have no official split: of each class the last fifth by rank, rounded down, is the test split.
    """

    name: ClassVar[str] = "digits"
    shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    mean: ClassVar[tuple[float, ...]] = (0.3053,)
    std: ClassVar[tuple[float, ...]] = (0.3760,)
    class_count: ClassVar[int] = 10

    def load(self, root: Path | None) -> Images:
        """The selected images; `root` is not used. See `Dataset.load`."""
        return select(self, None, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    archive = Path(str(files("sklearn.datasets.data") / "digits.csv.gz"))
    return Found((archive,), lambda: _read(split))


def _read(split: Split) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    grey, labels = load_digits(return_X_y=True)
    pixels = np.rint(grey.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    labels = labels.astype(np.int64)
    order = content_order(labels, hashes(pixels))
    counts = np.bincount(labels)
    rank = np.concatenate([np.arange(count) for count in counts])
    test = rank >= (counts - counts // 5)[labels[order]]
    chosen = order[test if split == "test" else ~test]
    return pixels[chosen], labels[chosen]
