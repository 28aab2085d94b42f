"""SUN397: 108,754 colour images of 397 scenes (Xiao et al., 2010)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from contrast.component import MOST_PIXELS, require, require_count
from contrast.data.class_folders import numbered, ranked_ids
from contrast.data.dataset import Dataset, Images
from contrast.data.listed import Pairs, find_listed, label, rows
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.scaled_folders import Folders
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDERS = Folders("sun397", partial(ranked_ids, count=397))


@dataclass(frozen=True, kw_only=True)
class SUN397(Dataset):
    """SUN397 in `<root>/SUN397`, with the lists of Partitions.zip in it, or Parquet or class folders in `<root>/sun397`.

    Of the ten official partitions it is number `split` (1 to 10): 50 images a class are trained on (`Training_01.txt`), 50 tested
    (`Testing_01.txt`). Class ids count as `ClassName.txt` lists them. Images are scaled to `side` pixels (8 to 4096) as those of
    `ImageFolder`. Metric: top-1.
    """

    split: int = 1
    side: int = 224

    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = 397

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "split", 10, "Use 1, the one that the literature reports.")
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With split and size."""
        return f"sun397-{self.split}-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, SUN397)
    listed = dataset.split == 1 or root is None or not root.is_dir() or (root / "SUN397").is_dir()
    cure = "Use 1, or unpack the data set's own archive there."
    require(listed, dataset, "split", "needs the official lists in SUN397, since class folders and Parquet hold one split", cure)
    return find_listed(_FOLDERS, "SUN397", partial(_pairs, dataset.split), dataset.side, root, split)


def _pairs(number: int, home: Path, split: Split) -> Pairs:
    names, file = home / "ClassName.txt", home / f"{'Training' if split == 'train' else 'Testing'}_{number:02d}.txt"
    ids = numbered((name for (name,) in rows(names)), SUN397.class_count, names)
    paths = [path for (path,) in rows(file, cure="Unpack the data set's Partitions.zip into that folder.")]
    return [(home / path.lstrip("/"), label(path.rpartition("/")[0], ids, file)) for path in paths]
