"""FGVC-Aircraft: 10,000 colour images of 100 aircraft variants, 100 each (Maji et al., 2013)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from contrast.component import MOST_PIXELS, require_count
from contrast.data.class_folders import numbered, ranked_ids
from contrast.data.dataset import Dataset, Images, Metric
from contrast.data.listed import Pairs, find_listed, label, rows
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD
from contrast.data.scaled_folders import OFFICIAL_VALIDATION, Folders
from contrast.data.select import select
from contrast.data.source import Found, Split

_FOLDERS = Folders("fgvc-aircraft", partial(ranked_ids, count=100), train=OFFICIAL_VALIDATION, test=("test",))


@dataclass(frozen=True, kw_only=True)
class FGVCAircraft(Dataset):
    """FGVC-Aircraft in `<root>/fgvc-aircraft-2013b`, as its archive unpacks, or Parquet or class folders in `<root>/fgvc-aircraft`.

    6,667 images of trainval are trained on, 3,333 tested. Classes are the variants, whose ids count as `variants.txt` lists them.
    Images are scaled to `side` pixels (8 to 4096) as those of `ImageFolder`. Metric: mean per class.
    """

    side: int = 224

    metric: ClassVar[Metric] = "mean per class"
    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD
    class_count: ClassVar[int] = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """With the size."""
        return f"fgvc-aircraft-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    return find_listed(_FOLDERS, "fgvc-aircraft-2013b", _pairs, dataset.shape[1], root, split)


def _pairs(home: Path, split: Split) -> Pairs:
    data, part = home / "data", "trainval" if split == "train" else "test"
    names, file = data / "variants.txt", data / f"images_variant_{part}.txt"
    ids = numbered((name for (name,) in rows(names)), FGVCAircraft.class_count, names)
    return [(data / "images" / f"{image}.jpg", label(variant, ids, file)) for image, variant in rows(file, 2)]
