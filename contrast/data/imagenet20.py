"""ImageNet-20: the twenty classes of Imagenette and Imagewoof, colour images from ImageNet (Howard, 2019)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from contrast.component import MOST_PIXELS, require_count
from contrast.data.class_folders import class_folder_files, numbered, ranked_ids
from contrast.data.dataset import Dataset, Images
from contrast.data.listed import Pairs, found_listed
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD, SUFFIXES
from contrast.data.scaled_folders import Folders, find_scaled
from contrast.data.select import select
from contrast.data.source import Found, Split

_ARCHIVES = ("imagenette2", "imagewoof2")
_FOLDERS = Folders("imagenet20", partial(ranked_ids, count=20))


@dataclass(frozen=True, kw_only=True)
class ImageNet20(Dataset):
    """ImageNet-20 in `<root>/imagenette2` and `<root>/imagewoof2` side by side, as their archives unpack, or in `<root>/imagenet20`.

    The latter holds `train` and `val` with one folder a synset, or Parquet. Class ids count in order of the synsets. The test split
    is the validation set. Images are scaled to `side` pixels (8 to 4096) as those of `ImageFolder`. Metric: top-1.
    """

    side: int = 224

    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the size."""
        return f"imagenet20-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    homes = [] if root is None else [root / name for name in _ARCHIVES]
    if not homes or not all(home.is_dir() for home in homes):
        return find_scaled(_FOLDERS, dataset.shape[1], True, root, split, " and ".join(_ARCHIVES))
    return found_listed(_pairs([home / ("train" if split == "train" else "val") for home in homes]), dataset.shape[1])


def _pairs(homes: list[Path]) -> Pairs:
    files = [file for home in homes for file in class_folder_files(home, SUFFIXES)]
    ids = numbered(sorted(file.parent.name for file in files), ImageNet20.class_count, " and ".join(map(str, homes)))
    return [(file, ids[file.parent.name]) for file in files]
