"""CIFAR-100: 500 + 100 colour images of 32 x 32 for each of 100 fine classes, ids alphabetical (Krizhevsky, 2009)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrast.data.dataset import Dataset, Images
from contrast.data.select import select


@dataclass(frozen=True)
class CIFAR100(Dataset):
    """CIFAR-100 by fine class id; a five-way task is `CIFAR100(classes=(0, 1, 2, 3, 4))` (PROTOCOL 1.1, 4.1)."""

    name: ClassVar[str] = "cifar100"
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    mean: ClassVar[tuple[float, ...]] = (0.5071, 0.4867, 0.4408)
    std: ClassVar[tuple[float, ...]] = (0.2675, 0.2565, 0.2761)
    class_count: ClassVar[int] = 100

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root)
