"""SVHN: 73,257 + 26,032 colour images of house numbers, 32 x 32, cropped to a digit (Netzer et al., 2011)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrast.data.dataset import Dataset, Images
from contrast.data.select import select


@dataclass(frozen=True)
class SVHN(Dataset):
    """SVHN, class ids the digits 0 to 9, with the mean and standard deviation usual in the literature."""

    name: ClassVar[str] = "svhn"
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    mean: ClassVar[tuple[float, ...]] = (0.4377, 0.4438, 0.4728)
    std: ClassVar[tuple[float, ...]] = (0.1980, 0.2010, 0.1970)
    class_count: ClassVar[int] = 10

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root)
