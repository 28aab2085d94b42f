"""MultiDigits: several digits on one canvas, at random places or on a grid (PROTOCOL 8.1)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Int

from contrast import random
from contrast.component import MOST_PIXELS, require, require_count
from contrast.data.dataset import Dataset, Images
from contrast.data.derived import base_images, derived_name, made, paste_, require_whole
from contrast.data.mnist import MNIST
from contrast.data.select import select
from contrast.data.source import Found, Split


@dataclass(frozen=True, kw_only=True)
class MultiDigits(Dataset):
    """Canvases of `side` pixels (to 4096) with `digits` (1 to 1000) digits of `of` each, whose label is the class of the first.

    Canvas i shows digit i first. `placement`: "random" puts each at a uniformly drawn place, where they may overlap; "grid" in
    distinct cells as large as a digit. Where digits overlap the larger value counts, with `add` their clipped sum. Digits of a
    split come from that split of `of`; which ones and where follows from (`seed`, id of digit i), so both views see one canvas.
    One digit a canvas is what linear probes are trained and scored on; of several, *held_out* may show digits that *fit* shows on
    other canvases. Pixels are not normalised: mean 0, deviation 1.
    """

    digits: int = 4
    placement: Literal["random", "grid"] = "random"
    of: Dataset = MNIST()
    side: int = 112
    add: bool = False
    seed: int = 0

    mean: ClassVar[tuple[float, ...]] = (0.0,)
    std: ClassVar[tuple[float, ...]] = (1.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole(self, "of", self.of)
        require(self.of.shape[0] == 1 and self.of.shape[1] == self.of.shape[2], self, "of", "must be square grey images", "Use MNIST().")
        require(self.placement in ("random", "grid"), self, "placement", "must be 'random' or 'grid'", "Use 'random'.")
        require_count(self, "side", MOST_PIXELS, "It holds a digit whole. Use 112 for MNIST.", least=self.of.shape[1])
        most = (self.side // self.of.shape[1]) ** 2
        require_count(self, "digits", 1000, "Use 1, 2, 4, 8, 12 or 16.")
        fits = self.placement == "random" or self.digits <= most
        require(fits, self, "digits", f"must be at most {most}, the cells of the grid", "Enlarge side or use fewer digits.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    @property
    def name(self) -> str:
        """With a digest of all that decides on the canvases."""
        return derived_name("multi-digits", self)

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
    assert isinstance(dataset, MultiDigits)
    source = base_images(dataset.of, root, split)
    which, corners = composition(dataset, source.ids)
    return made((source,), partial(_canvases, dataset, source, which, corners), source.labels, dataset.shape)


def composition(dataset: MultiDigits, ids: Int[np.ndarray, " n"]) -> tuple[Int[np.ndarray, "n k"], Int[np.ndarray, "n k 2"]]:
    """Which digits (rows of the source) each canvas shows, the first its own, and their upper left corners."""
    count, size = dataset.digits, dataset.of.shape[1]
    numbers = random.uniform(dataset.seed, "multi digits", ids, 3 * count)
    which = np.floor(numbers[:, :count] * len(ids)).astype(np.int64)
    which[:, 0] = np.arange(len(ids))
    if dataset.placement == "random":
        places = np.floor(numbers[:, count:] * (dataset.side - size + 1)).astype(np.int64)
        return which, places.reshape(len(ids), count, 2)
    across = dataset.side // size
    cells = np.argsort(random.uniform(dataset.seed, "multi digits cells", ids, across**2), axis=1)[:, :count]
    return which, np.stack([cells // across, cells % across], axis=-1) * size


def _canvases(dataset: MultiDigits, source: Images, which: np.ndarray, corners: np.ndarray, rows: np.ndarray) -> np.ndarray:
    canvas = np.zeros((len(rows), *dataset.shape), dtype=np.uint8)
    for k in range(dataset.digits):
        paste_(canvas, source.pixels[which[rows, k]], corners[rows, k], add=dataset.add)
    return canvas
