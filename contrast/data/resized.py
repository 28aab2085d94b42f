"""Images of another data set at another size: small ones made large for an encoder or views that want them so (PROTOCOL 1.5)."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from contrast.component import MOST_PIXELS, require, require_count
from contrast.data.cache import open_decoded
from contrast.data.cache_folder import cache_folder
from contrast.data.content import content_order, hashes
from contrast.data.dataset import Dataset, Images
from contrast.data.derived import base_images, derived_name, made, require_whole
from contrast.data.rows import rows_of
from contrast.data.source import Split


@dataclass(frozen=True, kw_only=True)
class Resized(Dataset):
    """Images of `of`, which are square, scaled to `side` x `side` pixels (8 to 4096): bicubic, smoothed where they shrink, as PIL's.

    They equal torchvision's `Resize` of PIL images. Labels, ids and parts are those of `of`, and so is the normalisation. They lie on
    disk, memory-mapped: the 50,000 of CIFAR-10 at 256 pixels take 9.8 GB, twice that while they are made, which takes minutes, and as
    much again where a part that is scattered among them is read, as 90 % of them is in a search.
    """

    of: Dataset
    side: int

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole(self, "of", self.of)
        require(self.of.shape[1] == self.of.shape[2], self, "of", "must be square images", "Use CIFAR10().")
        rule = f"is judged by {self.of.metric}, which is said of data sets that come in any size"
        require(self.of.metric == self.metric, self, "of", rule, "Set its own side instead.")
        require_count(self, "side", MOST_PIXELS, "Use 256 for core256().", least=8)

    @property
    def name(self) -> str:
        """With a digest of data set and side."""
        return derived_name("resized", self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The channels of `of`, at `side`."""
        return self.of.shape[0], self.side, self.side

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
        """The classes of `of`."""
        return self.of.num_classes

    @property
    def selected(self) -> Dataset:
        """The same selection of `of`."""
        own = range(self.of.num_classes) if self.of.classes is None else self.of.classes
        classes = self.of.classes if self.classes is None else tuple(own[place] for place in self.classes)
        most = [count for count in (self.of.per_class, self.per_class) if count is not None]
        return replace(self.of, classes=classes, per_class=min(most, default=None), part=self.part, fraction=self.fraction)

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return _load(self, root, cache_folder())


@lru_cache(maxsize=32)
def _load(dataset: Resized, root: Path | None, cache: Path) -> Images:
    """What `of` selects, with the pixels of the same images among all scaled ones, which are kept in order of class and content."""
    split: Split = "test" if dataset.part == "test" else "train"
    source, selected = base_images(dataset.of, root, split), dataset.selected.load(root)
    found = made((source,), partial(_scaled, source, dataset.side), source.labels, dataset.shape, content=source.content)
    decoded = open_decoded(dataset, split, found, cache)
    places, by_id = np.argsort(content_order(source.labels, hashes(source.content))), np.argsort(source.ids)
    pixels = rows_of(decoded.pixels, places[by_id[np.searchsorted(source.ids, selected.ids, sorter=by_id)]])
    pixels.flags.writeable = False
    return selected._replace(pixels=pixels)


def _scaled(source: Images, side: int, rows: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "n c side side"]:
    scaled = np.empty((len(rows), source.pixels.shape[1], side, side), dtype=np.uint8)
    for image, out in zip(source.pixels[rows], scaled, strict=True):
        for channel, place in zip(image, out, strict=True):
            place[:] = _scaled_channel(channel, side)
    return scaled


def _scaled_channel(channel: UInt8[np.ndarray, "h w"], side: int) -> UInt8[np.ndarray, "side side"]:
    """PIL scales the channels of an image one by one, too."""
    return np.asarray(Image.fromarray(channel).resize((side, side), Image.Resampling.BICUBIC))
