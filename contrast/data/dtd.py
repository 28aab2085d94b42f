"""Describable Textures: 5,640 colour images of 47 textures, 120 each (Cimpoi et al., 2014)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from contrast.component import MOST_PIXELS, require, require_count
from contrast.data.class_folders import numbered, ranked_ids
from contrast.data.dataset import Dataset, Images
from contrast.data.listed import Pairs, find_listed, label, rows
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.scaled_folders import OFFICIAL_VALIDATION, Folders
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDERS = Folders("dtd", partial(ranked_ids, count=47), train=OFFICIAL_VALIDATION, test=("test",))


@dataclass(frozen=True, kw_only=True)
class DTD(Dataset):
    """DTD in `<root>/dtd/dtd` as its archive unpacks in torchvision's folder, or Parquet or class folders in `<root>/dtd`.

    Of the ten official splits it is number `split` (1 to 10), and without the lists 1: 3,760 images of train and val are trained
    on, 1,880 tested. Class ids count in order of name. Images are scaled to `side` pixels (8 to 4096) as those of `ImageFolder`.
    Metric: top-1.
    """

    split: int = 1
    side: int = 224

    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = 47

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "split", 10, "Use 1, the one that the literature reports.")
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With split and size."""
        return f"dtd-{self.split}-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, DTD)
    listed = dataset.split == 1 or root is None or not root.is_dir() or (root / "dtd/dtd").is_dir()
    cure = "Use 1, or unpack the data set's own archive there."
    require(listed, dataset, "split", "needs the official lists in dtd/dtd, since class folders and Parquet hold one split", cure)
    return find_listed(_FOLDERS, "dtd/dtd", partial(_pairs, dataset.split), dataset.side, root, split)


def _pairs(number: int, home: Path, split: Split) -> Pairs:
    pairs: Pairs = []
    for part in ("train", "val") if split == "train" else ("test",):
        file = home / "labels" / f"{part}{number}.txt"
        paths = [path for (path,) in rows(file)]
        ids = numbered(sorted(path.partition("/")[0] for path in paths), DTD.class_count, file)
        pairs += [(home / "images" / path, label(path.partition("/")[0], ids, file)) for path in paths]
    return pairs
