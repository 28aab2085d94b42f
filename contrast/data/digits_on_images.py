"""Digits on images: two features that compete, an object and a digit laid over it (PROTOCOL 8.3)."""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from contrast import random
from contrast.component import MOST_PIXELS, UserError, require, require_count
from contrast.data.cache_folder import cache_folder
from contrast.data.cifar10 import CIFAR10
from contrast.data.content import content_order, hashes
from contrast.data.dataset import RANKS_PER_CLASS, Dataset, Images
from contrast.data.derived import base_images, derived_name, made, paste_, require_whole, resized
from contrast.data.mnist import MNIST
from contrast.data.select import TEST_IDS, select
from contrast.data.source import Found, Split

_OFFSETS = (0.15, 0.45, 0.75)  # of the copies' upper left corners, as shares of the side, in both directions
_DIGIT = 28 / 224  # the side of a digit as a share of the image's


@dataclass(frozen=True, kw_only=True)
class DigitsOnImages(Dataset):
    """Images of `of`, each under nine copies of one white digit, combined by the larger value before any augmentation.

    The digit of an image is drawn from a pool of `pool` training digits of `digits` (1 or above; smaller pools lie within
    larger ones) and follows from (`seed`, id of the image), the same in every epoch. `redrawn` "each epoch": a pretraining
    draws it for (`seed`, epoch, id), while measures and probes go on to read the one draw; None leaves it. `probed` is what
    the labels are: the "object" or the "digit", of which a small pool lacks some: `classes` then names those it has. `side`:
    images are scaled to it first (8 to 4096); None leaves their size. A digit's side is an eighth of the image's.
    """

    pool: int
    probed: Literal["object", "digit"] = "object"
    of: Dataset = CIFAR10()
    digits: Dataset = MNIST()
    side: int | None = None
    seed: int = 0
    redrawn: Literal["each epoch"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole(self, "of", self.of)
        require_whole(self, "digits", self.digits)
        require(self.digits.shape[0] == 1, self, "digits", "must be grey images", "Use MNIST().")
        require(self.pool >= 1, self, "pool", "must be at least 1", "Use powers of two from 1 to 16384.")
        require(self.probed in ("object", "digit"), self, "probed", "must be 'object' or 'digit'", "Use 'object' to pretrain.")
        require_count(self, "side", MOST_PIXELS, "Use 64 to 224.", least=8)
        require(self.of.shape[1] == self.of.shape[2], self, "of", "must be square images", "Use CIFAR10().")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")
        require(self.redrawn in (None, "each epoch"), self, "redrawn", "must be 'each epoch' or None", "Use None for one draw.")
        lasting = self.probed == "object" or self.redrawn is None
        require(lasting, self, "redrawn", "must be None where the digit is probed, whose label holds for one draw", "Leave it out.")

    @property
    def name(self) -> str:
        """With a digest of all that decides on the images, as `load` gives them."""
        return derived_name("digits-on-images", self, beside=("redrawn",))

    @property
    def lasts(self) -> bool:
        """Unless its digits are drawn again."""
        return self.redrawn is None

    @property
    def shape(self) -> tuple[int, int, int]:
        """The channels of `of`, at `side`."""
        channels, own, _ = self.of.shape
        return channels, self.side or own, self.side or own

    @property
    def mean(self) -> tuple[float, ...]:
        """That of `of`."""
        return self.of.mean

    @property
    def std(self) -> tuple[float, ...]:
        """That of `of`."""
        return self.of.std

    @property
    def class_count(self) -> int:
        """The classes of what is probed."""
        return (self.of if self.probed == "object" else self.digits).num_classes

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        images = select(self, root, _find)
        return images._replace(redrawn=partial(_redrawn, self, root, images.ids)) if self.redrawn is not None else images


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, DigitsOnImages)
    source, digits = base_images(dataset.of, root, split), base_images(dataset.digits, root, "train")
    if dataset.pool > len(digits.ids):
        rule = f"must be at most {len(digits.ids)}, the training digits of {dataset.digits.name}"
        raise UserError(f"DigitsOnImages.pool = {dataset.pool}: {rule}. Lower it.")
    pool = _pool(dataset, digits)
    labels = source.labels if dataset.probed == "object" else digits.labels[_drawn(dataset, pool, source.ids, 0)]
    make = partial(_covered, dataset, source, digits, pool, 0)
    return made((source, digits), make, labels, dataset.shape, content=source.content)


def _redrawn(dataset: DigitsOnImages, root: Path | None, ids: np.ndarray, rows: np.ndarray, epoch: int) -> np.ndarray:
    """The images of some rows of the selection `ids` under the digits of `epoch`."""
    bases = _bases(dataset, root, "test" if dataset.part == "test" else "train", cache_folder())
    own = ids[rows] % TEST_IDS
    places = bases.starts[own // RANKS_PER_CLASS] + own % RANKS_PER_CLASS
    return _covered(dataset, bases.source, bases.digits, bases.pool, epoch, bases.order[places])


class _Bases(NamedTuple):
    """What is drawn from, and the rows of `source` in order of class and rank, each class from `starts` on."""

    source: Images
    digits: Images
    pool: np.ndarray
    order: np.ndarray
    starts: np.ndarray


@lru_cache(maxsize=4)
def _bases(dataset: DigitsOnImages, root: Path | None, split: Split, cache: Path) -> _Bases:
    source, digits = base_images(dataset.of, root, split), base_images(dataset.digits, root, "train")
    order = content_order(source.labels, hashes(source.content))
    starts = np.searchsorted(source.labels[order], np.arange(dataset.class_count))
    return _Bases(source, digits, _pool(dataset, digits), order, starts)


def _pool(dataset: DigitsOnImages, digits: Images) -> np.ndarray:
    """The rows of the digits that are drawn from."""
    return random.permutation(dataset.seed, "digit pool", digits.ids)[: dataset.pool]


def _drawn(dataset: DigitsOnImages, pool: np.ndarray, ids: np.ndarray, epoch: int) -> np.ndarray:
    """The row of each image's digit; epoch 0 is the draw that stays."""
    numbers = random.uniform(dataset.seed, "digit on image", ids, 1, epoch=epoch)[:, 0]
    drawn: np.ndarray = pool[np.floor(numbers * dataset.pool).astype(np.int64)]
    return drawn


def _covered(dataset: DigitsOnImages, source: Images, digits: Images, pool: np.ndarray, epoch: int, rows: np.ndarray) -> np.ndarray:
    own, side = source.pixels[rows], dataset.shape[1]
    canvas = np.array(own) if side == own.shape[2] else resized(own, side)
    stamps = resized(digits.pixels[_drawn(dataset, pool, source.ids[rows], epoch)], round(_DIGIT * side))
    for down in _OFFSETS:
        for right in _OFFSETS:
            paste_(canvas, stamps, np.tile(np.floor(np.array([down, right]) * side).astype(np.int64), (len(rows), 1)))
    return canvas
