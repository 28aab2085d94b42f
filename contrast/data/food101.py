"""Food-101: 101,000 colour images of 101 dishes, 1,000 each (Bossard et al., 2014)."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from contrast.component import MOST_PIXELS, UserError, require_count
from contrast.data.class_folders import numbered, ranked_ids
from contrast.data.dataset import Dataset, Images
from contrast.data.listed import Pairs, find_listed
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.scaled_folders import Folders
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDERS = Folders("food101", partial(ranked_ids, count=101))


@dataclass(frozen=True, kw_only=True)
class Food101(Dataset):
    """Food-101 in `<root>/food-101`, as its archive unpacks, or Parquet or class folders in `<root>/food101`.

    750 images a class are trained on (`meta/train.json`), 250 tested. Class ids count in order of name. Images are scaled to
    `side` pixels (8 to 4096) as those of `ImageFolder`. Metric: top-1.
    """

    side: int = 224

    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = 101

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the size."""
        return f"food101-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    return find_listed(_FOLDERS, "food-101", _pairs, dataset.shape[1], root, split)


def _pairs(home: Path, split: Split) -> Pairs:
    file = home / "meta" / f"{split}.json"
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: must be the data set's list and cannot be read ({error}). Get it again.") from error
    if not isinstance(listed, dict) or not all(isinstance(paths, list) for paths in listed.values()):
        raise UserError(f"{file}: must give the images of each class. Get it again.")
    ids = numbered(sorted(listed), Food101.class_count, file)
    return [(home / "images" / f"{path}.jpg", ids[dish]) for dish, paths in listed.items() for path in paths]
