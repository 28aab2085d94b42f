"""ImageNet (ILSVRC 2012): 1,281,167 + 50,000 colour images in 1,000 classes (Russakovsky et al., 2015)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from contrast.component import MOST_PIXELS, require_count
from contrast.data.class_folders import ranked_ids
from contrast.data.dataset import Dataset, Images
from contrast.data.scaled_folders import Folders, find_scaled
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDERS = Folders("imagenet", partial(ranked_ids, count=1000))


@dataclass(frozen=True, kw_only=True)
class ImageNet(Dataset):
    """ImageNet in `<root>/imagenet/train` and `val`, one folder a synset (n01440764 ..) in whose order ids count, or Parquet.

    Images are scaled to `side` pixels (8 to 4096) on the shorter side and cut to the centre, once, when the cache is built:
    at 224 it takes 190 GB. The test split is the validation set.
    """

    side: int = 224

    version: ClassVar[int] = 2
    mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)
    class_count: ClassVar[int] = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the size."""
        return f"imagenet-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    return find_scaled(_FOLDERS, dataset.shape[1], True, root, split)
