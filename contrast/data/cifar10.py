"""CIFAR-10: 50,000 + 10,000 colour images of 32 x 32, ten classes airplane .. truck (Krizhevsky, 2009)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrast.data.dataset import Dataset, Images
from contrast.data.select import select


@dataclass(frozen=True)
class CIFAR10(Dataset):
    """CIFAR-10 with the normalisation of contrastive pretraining (PROTOCOL 1.1: its std is not the per-pixel one)."""

    name: ClassVar[str] = "cifar10"
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    mean: ClassVar[tuple[float, ...]] = (0.4914, 0.4822, 0.4465)
    std: ClassVar[tuple[float, ...]] = (0.2023, 0.1994, 0.2010)
    class_count: ClassVar[int] = 10

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root)
