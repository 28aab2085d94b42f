"""Oxford-IIIT Pet: 7,349 colour images of 37 breeds of cats and dogs (Parkhi et al., 2012)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from contrast.component import MOST_PIXELS, require_count
from contrast.data.class_folders import ranked_ids
from contrast.data.dataset import Dataset, Images, Metric
from contrast.data.listed import Pairs, find_listed, integer, rows
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.scaled_folders import OFFICIAL_VALIDATION, Folders
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDERS = Folders("oxford-pets", partial(ranked_ids, count=37, order=str.lower), train=OFFICIAL_VALIDATION, test=("test",))


@dataclass(frozen=True, kw_only=True)
class OxfordPets(Dataset):
    """Oxford-IIIT Pet in `<root>/oxford-iiit-pet`, as its archives unpack, or Parquet or class folders in `<root>/oxford-pets`.

    3,680 images of trainval are trained on, 3,669 tested. Class ids are the annotations' less 1, which are in order of name without
    case. Images are scaled to `side` pixels (8 to 4096) as those of `ImageFolder`. Metric: mean per class.
    """

    side: int = 224

    metric: ClassVar[Metric] = "mean per class"
    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = 37

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the size."""
        return f"oxford-pets-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    return find_listed(_FOLDERS, "oxford-iiit-pet", _pairs, dataset.shape[1], root, split)


def _pairs(home: Path, split: Split) -> Pairs:
    file = home / "annotations" / ("trainval.txt" if split == "train" else "test.txt")
    return [(home / "images" / f"{image}.jpg", integer(number, file) - 1) for image, number, *_ in rows(file, 4)]
