"""Images of which every pixel has a class, and what data sets of them share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from contrast.component import MOST_PIXELS, require_count
from contrast.data.dataset import Dataset, Images
from contrast.data.select import Find, select

IGNORED = 255  # what a mask says of pixels that are neither learned nor scored


class Scenes(NamedTuple):
    """Images with their masks in id order: `pixels` uint8 [N, 3, H, W], `masks` uint8 [N, H, W], `ids` int64 [N].

    An entry of a mask is the class of that pixel, from 0, or 255 where it has none.
    """

    pixels: np.ndarray
    masks: np.ndarray
    ids: np.ndarray


@dataclass(frozen=True, kw_only=True)
class SegmentedImages(Dataset, ABC):
    """Images with a mask each, scaled to `side` x `side` (8 to 4096); subclasses say where they lie and how many classes pixels have.

    The longer side of an image is scaled to `side`, bilinear and smoothed, and what is left of the square at the bottom or the
    right is grey; its mask goes the same way by nearest neighbours, and is 255 there. As plain images all have label 0, so an
    encoder can be pretrained on them; `per_class` and `fraction` count images. The normalisation is ImageNet's.
    """

    side: int

    mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)
    class_count: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 512, or 32 to 96 for small encoders.", least=8)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    @property
    @abstractmethod
    def pixel_classes(self) -> int:
        """The number of classes of pixels, with the background."""

    @abstractmethod
    def scenes(self, root: Path | None) -> Scenes:
        """The selected images with their masks, memory-mapped; raises `UserError` as `load` does."""

    def load(self, root: Path | None) -> Images:
        """The images alone, all of label 0; see `Dataset.load`."""
        scenes = self.scenes(root)
        labels = np.zeros(len(scenes.ids), dtype=np.int64)
        labels.flags.writeable = False
        return Images(scenes.pixels, labels, scenes.ids)


def select_scenes(dataset: SegmentedImages, root: Path | None, looking: Find) -> Scenes:
    """What `SegmentedImages.scenes` returns; `looking` finds raw images of four channels, the mask last, so that both are one content."""
    found = select(dataset, root, looking)
    return Scenes(found.pixels[:, :3], found.pixels[:, 3], found.ids)
