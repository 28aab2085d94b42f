"""Digits: scikit-learn's 1,797 grey images of handwritten digits, 8 x 8; part of the installation, so nothing to download."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np

from contrast.component import UserError
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
    package = find_spec("sklearn")  # to import it takes longer than most trainings on its digits
    if package is None or package.origin is None:
        raise UserError("Digits: scikit-learn, whose digits these are, is not installed. Install it: pip install scikit-learn")
    archive = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    return Found((archive,), lambda: _read(archive, split))


def _read(archive: Path, split: Split) -> tuple[np.ndarray, np.ndarray]:
    rows = np.loadtxt(archive, delimiter=",")
    pixels = np.rint(rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    labels = rows[:, -1].astype(np.int64)
    order = content_order(labels, hashes(pixels))
    counts = np.bincount(labels)
    rank = np.concatenate([np.arange(count) for count in counts])
    test = rank >= (counts - counts // 5)[labels[order]]
    chosen = order[test if split == "test" else ~test]
    return pixels[chosen], labels[chosen]
