"""STL-10: 5,000 + 8,000 colour images of 96 x 96, ten classes (Coates, Lee, Ng, 2011)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrast.data.dataset import Dataset, Images
from contrast.data.select import select


@dataclass(frozen=True)
class STL10(Dataset):
    """The labelled images of STL-10, with the mean and standard deviation usual in the literature."""

    name: ClassVar[str] = "stl10"
    shape: ClassVar[tuple[int, int, int]] = (3, 96, 96)
    mean: ClassVar[tuple[float, ...]] = (0.4467, 0.4398, 0.4066)
    std: ClassVar[tuple[float, ...]] = (0.2603, 0.2566, 0.2713)
    class_count: ClassVar[int] = 10

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root)
