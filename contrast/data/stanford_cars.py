"""Stanford Cars: 16,185 colour images of 196 makes and models (Krause et al., 2013)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from contrast.component import MOST_PIXELS, UserError, require_count
from contrast.data.class_folders import ranked_ids
from contrast.data.dataset import Dataset, Images
from contrast.data.listed import Pairs, find_listed
from contrast.data.matlab import integers, variable
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.scaled_folders import Folders
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDERS = Folders("stanford-cars", partial(ranked_ids, count=196, order=None))
_CURE: dict[Split, str] = {
    "train": "It is in car_devkit.tgz; get that again.",
    "test": "It is published beside car_devkit.tgz, whose own test file has no labels; get it from there.",
}


@dataclass(frozen=True, kw_only=True)
class StanfordCars(Dataset):
    """Stanford Cars in `<root>/stanford_cars` as torchvision lays it out, or Parquet or class folders in `<root>/stanford-cars`.

    8,144 images are trained on (`devkit/cars_train_annos.mat`), 8,041 tested (`cars_test_annos_withlabels.mat`, which is a file of
    its own). Class ids are the devkit's less 1; class folders are named by the devkit's numbers, or all from 0. Images are scaled
    to `side` pixels (8 to 4096) as those of `ImageFolder`. Metric: top-1.
    """

    side: int = 224

    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = 196

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the size."""
        return f"stanford-cars-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    return find_listed(_FOLDERS, "stanford_cars", _pairs, dataset.shape[1], root, split)


def _pairs(home: Path, split: Split) -> Pairs:
    file = home / ("devkit/cars_train_annos.mat" if split == "train" else "cars_test_annos_withlabels.mat")
    stored = variable(file, "annotations", _CURE[split])
    if not {"fname", "class"} <= set(stored.dtype.names or ()):
        raise UserError(f"{file}: its annotations must have the fields fname and class. Get the file with labels.")
    folder = home / ("cars_train" if split == "train" else "cars_test")
    numbers = integers(stored["class"], file, "class")
    return [(folder / str(name), int(number) - 1) for name, number in zip(stored["fname"], numbers, strict=True)]
