"""Fashion-MNIST: 60,000 + 10,000 grey images of clothes, 28 x 28 (Xiao, Rasul, Vollgraf, 2017)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrast.data.dataset import Dataset, Images
from contrast.data.select import select


@dataclass(frozen=True)
class FashionMNIST(Dataset):
    """Fashion-MNIST with the mean and standard deviation of its training pixels."""

    name: ClassVar[str] = "fashion-mnist"
    shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    mean: ClassVar[tuple[float, ...]] = (0.2860,)
    std: ClassVar[tuple[float, ...]] = (0.3530,)
    class_count: ClassVar[int] = 10

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root)
