"""A user's own images: class folders, or Parquet, of any size."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar

from contrast.component import MOST_PIXELS, require, require_count
from contrast.data.class_folders import counted_ids
from contrast.data.dataset import Dataset, Images
from contrast.data.scaled_folders import Folders, find_scaled
from contrast.data.select import select
from contrast.data.source import Found, Split


@dataclass(frozen=True, kw_only=True)
class ImageFolder(Dataset):
    """Colour images in `<root>/<images>/<split>/<class>/*`, split "train" and "test" or "val", scaled to `side` x `side`.

    `images` names the folder under the data root; `count` (1 to 1000000) is the number of classes, whose ids are their folders'
    names where all are numbers, else their places in order of name, of which there must be `count`. Files are PNG, JPEG, WebP or
    BMP, or Parquet with columns image and label (`<split>-*.parquet`). The shorter side is scaled to `side` pixels (8 to 4096) and
    the centre kept; a sample's rank in its class is that of its file's hash, at every size. `convert` takes grey, palette and CMYK
    images too. The normalisation is ImageNet's.
    """

    images: str
    count: int
    side: int = 224
    convert: bool = False

    version: ClassVar[int] = 2
    mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        require_count(self, "count", 10**6, "State the number of classes.")
        super().__post_init__()
        path = PurePosixPath(self.images)
        inside = self.images != "" and not path.is_absolute() and ".." not in path.parts
        require(inside, self, "images", "must name a folder under the data root", "Leave out a leading / and any '..'.")
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """The folder and the size."""
        return f"{self.images.strip('/').replace('/', '-')}-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    @property
    def class_count(self) -> int:
        """`count`."""
        return self.count

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, ImageFolder)
    folders = Folders(dataset.images, partial(counted_ids, count=dataset.count))
    return find_scaled(folders, dataset.side, dataset.convert, root, split)
