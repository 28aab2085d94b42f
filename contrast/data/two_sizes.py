"""Two digits of different sizes on one canvas (PROTOCOL 8.2)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from contrast import random
from contrast.component import MOST_PIXELS, require, require_count
from contrast.data.dataset import Dataset, Images
from contrast.data.derived import base_images, derived_name, made, paste_, require_whole, resized
from contrast.data.mnist import MNIST
from contrast.data.select import select
from contrast.data.source import Found, Split


@dataclass(frozen=True, kw_only=True)
class TwoSizes(Dataset):
    """A digit of `first` x `first` and one of `second` x `second` pixels at random places of a canvas of `side` (to 4096).

    They may overlap. `shown`: "both" for pretraining, labelled by the first digit; "first" or "second" for a probe of that digit,
    which then stands alone at its size and place, labelled by itself. Digit i of `of` is the first of canvas i; the other one and
    the places follow from (`seed`, id of digit i). Pixels are not normalised: mean 0, deviation 1.
    """

    second: int = 20
    shown: Literal["both", "first", "second"] = "both"
    first: int = 20
    of: Dataset = MNIST()
    side: int = 112
    seed: int = 0

    mean: ClassVar[tuple[float, ...]] = (0.0,)
    std: ClassVar[tuple[float, ...]] = (1.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole(self, "of", self.of)
        require(self.of.shape[0] == 1, self, "of", "must be grey images", "Use MNIST().")
        require(self.shown in ("both", "first", "second"), self, "shown", "must be 'both', 'first' or 'second'", "Use 'both' to pretrain.")
        require_count(self, "side", MOST_PIXELS, "Use 112.")
        for field in ("first", "second"):
            fits = 1 <= getattr(self, field) <= self.side
            require(fits, self, field, f"must be from 1 to side = {self.side}", "Use 20 to 80 on 112.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    @property
    def name(self) -> str:
        """With a digest of all that decides on the canvases."""
        return derived_name("two-sizes", self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """One channel, `side` x `side`."""
        return 1, self.side, self.side

    @property
    def class_count(self) -> int:
        """The classes of `of`."""
        return self.of.num_classes

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, TwoSizes)
    source = base_images(dataset.of, root, split)
    numbers = random.uniform(dataset.seed, "two sizes", source.ids, 5)
    other = np.floor(numbers[:, 0] * len(source.ids)).astype(np.int64)
    labels = source.labels[other] if dataset.shown == "second" else source.labels
    return made((source,), partial(_canvases, dataset, source, other, numbers[:, 1:]), labels, dataset.shape)


def _canvases(dataset: TwoSizes, source: Images, other: np.ndarray, places: np.ndarray, rows: np.ndarray) -> np.ndarray:
    canvas = np.zeros((len(rows), *dataset.shape), dtype=np.uint8)
    digits = (("first", dataset.first, rows, places[rows, :2]), ("second", dataset.second, other[rows], places[rows, 2:]))
    for name, size, which, place in digits:
        if dataset.shown in ("both", name):
            corners = np.floor(place * (dataset.side - size + 1)).astype(np.int64)
            paste_(canvas, resized(source.pixels[which], size), corners)
    return canvas
