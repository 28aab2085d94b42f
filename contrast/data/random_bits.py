"""Random bits: channels beside the image that tell images apart and mean nothing (PROTOCOL 8.4)."""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from contrast.component import require
from contrast.data.dataset import Dataset, Images
from contrast.data.derived import base_images, derived_name, made, require_whole
from contrast.data.mnist import MNIST
from contrast.data.select import select
from contrast.data.source import Found, Split

_KEY = b"random bits"


@dataclass(frozen=True, kw_only=True)
class RandomBits(Dataset):
    """Images of `of` with `bits` further channels (0 to 32), each black or white all over: a hash of the image modulo 2^bits.

    The bits are those of the image as it is; `BitsBeside` leaves them out of the augmentation, so both views carry the same.
    Networks see them as 0 and 1. Samples have the ids that they have in `of`, so runs with different `bits` are paired.
    """

    bits: int
    of: Dataset = MNIST()

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole(self, "of", self.of)
        require(0 <= self.bits <= 32, self, "bits", "must be from 0 to 32", "Use 0 to 20.")

    @property
    def name(self) -> str:
        """With a digest of data set and number of bits."""
        return derived_name("random-bits", self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`bits` channels more than `of`."""
        channels, height, width = self.of.shape
        return channels + self.bits, height, width

    @property
    def mean(self) -> tuple[float, ...]:
        """That of `of`; 0 for the bits."""
        return self.of.mean + (0.0,) * self.bits

    @property
    def std(self) -> tuple[float, ...]:
        """That of `of`; 1 for the bits."""
        return self.of.std + (1.0,) * self.bits

    @property
    def class_count(self) -> int:
        """The classes of `of`."""
        return self.of.num_classes

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, RandomBits)
    source = base_images(dataset.of, root, split)
    return made((source,), partial(_with_bits, source, dataset.bits), source.labels, dataset.shape, content=source.content)


def _with_bits(source: Images, bits: int, rows: np.ndarray) -> np.ndarray:
    own = source.pixels[rows]
    channels = np.broadcast_to(hashed_bits(own, bits)[:, :, None, None], (len(rows), bits, *own.shape[2:]))
    return np.concatenate([own, (255 * channels).astype(np.uint8)], axis=1)


def hashed_bits(pixels: UInt8[np.ndarray, "n c h w"], bits: int) -> Int[np.ndarray, "n bits"]:
    """The lowest `bits` bits of a keyed hash of each image's bytes, 0 or 1, the lowest first."""
    digests = (hashlib.blake2b(image.tobytes(), digest_size=8, key=_KEY).digest() for image in pixels)
    hashed = np.array([int.from_bytes(digest, "little") & (2**32 - 1) for digest in digests], dtype=np.int64)
    return hashed[:, None] >> np.arange(bits) & 1
