"""Birdsnap: 49,829 colour images of 500 North American birds (Berg et al., 2014)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from contrast.component import MOST_PIXELS, require_count
from contrast.data.class_folders import ranked_ids
from contrast.data.dataset import Dataset, Images
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.scaled_folders import Folders, find_scaled
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDERS = Folders("birdsnap", partial(ranked_ids, count=500))


@dataclass(frozen=True, kw_only=True)
class Birdsnap(Dataset):
    """Birdsnap in class folders, `<root>/birdsnap/train/<bird>/*` and `test`, or Parquet; its archive holds addresses of images only.

    Class ids count in order of name. Images are scaled to `side` pixels (8 to 4096) as those of `ImageFolder`. Metric: top-1.
    """

    side: int = 224

    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the size."""
        return f"birdsnap-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    return find_scaled(_FOLDERS, dataset.shape[1], True, root, split)
