"""Digits on images: two features that compete, an object and a digit laid over it (PROTOCOL 8.3)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from contrast import random
from contrast.component import UserError, require
from contrast.data.cifar10 import CIFAR10
from contrast.data.dataset import Dataset, Images
from contrast.data.derived import base_images, derived_name, made, paste_, require_whole, resized
from contrast.data.mnist import MNIST
from contrast.data.select import select
from contrast.data.source import Found, Split

_OFFSETS = (0.15, 0.45, 0.75)  # of the copies' upper left corners, as shares of the side, in both directions
_DIGIT = 28 / 224  # the side of a digit as a share of the image's


@dataclass(frozen=True, kw_only=True)
class DigitsOnImages(Dataset):
    """Images of `of`, each under nine copies of one white digit, combined by the larger value before any augmentation.

    The digit of an image is drawn from a pool of `pool` training digits of `digits` (1 or above; smaller pools lie within
    larger ones) and follows from (`seed`, id of the image), the same in every epoch. `probed` is what the labels are: the
    "object" or the "digit", of which a small pool lacks some: `classes` then names those it has. `side`: images are scaled to
    it first (8 or above); None leaves their size. A digit's side is an eighth of the image's.
    """

    pool: int
    probed: Literal["object", "digit"] = "object"
    of: Dataset = CIFAR10()
    digits: Dataset = MNIST()
    side: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole(self, "of", self.of)
        require_whole(self, "digits", self.digits)
        require(self.digits.shape[0] == 1, self, "digits", "must be grey images", "Use MNIST().")
        require(self.pool >= 1, self, "pool", "must be at least 1", "Use powers of two from 1 to 16384.")
        require(self.probed in ("object", "digit"), self, "probed", "must be 'object' or 'digit'", "Use 'object' to pretrain.")
        require(self.side is None or self.side >= 8, self, "side", "must be at least 8 pixels", "Use 64 to 224.")
        require(self.of.shape[1] == self.of.shape[2], self, "of", "must be square images", "Use CIFAR10().")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    @property
    def name(self) -> str:
        """With a digest of all that decides on the images."""
        return derived_name("digits-on-images", self)

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
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, DigitsOnImages)
    source, digits = base_images(dataset.of, root, split), base_images(dataset.digits, root, "train")
    if dataset.pool > len(digits.ids):
        rule = f"must be at most {len(digits.ids)}, the training digits of {dataset.digits.name}"
        raise UserError(f"DigitsOnImages.pool = {dataset.pool}: {rule}. Lower it.")
    pool = random.permutation(dataset.seed, "digit pool", digits.ids)[: dataset.pool]
    drawn = pool[np.floor(random.uniform(dataset.seed, "digit on image", source.ids, 1)[:, 0] * dataset.pool).astype(np.int64)]
    labels = source.labels if dataset.probed == "object" else digits.labels[drawn]
    make = partial(_covered, dataset, source, digits, drawn)
    return made((source, digits), make, labels, dataset.shape, content=source.pixels)


def _covered(dataset: DigitsOnImages, source: Images, digits: Images, drawn: np.ndarray, rows: np.ndarray) -> np.ndarray:
    own, side = source.pixels[rows], dataset.shape[1]
    canvas = np.array(own) if side == own.shape[2] else resized(own, side)
    stamps = resized(digits.pixels[drawn[rows]], round(_DIGIT * side))
    for down in _OFFSETS:
        for right in _OFFSETS:
            paste_(canvas, stamps, np.tile(np.floor(np.array([down, right]) * side).astype(np.int64), (len(rows), 1)))
    return canvas
