"""The 100,000 images of STL-10 that have no label, 96 x 96 in colour, for pretraining (Coates, Lee, Ng, 2011)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrast.component import require
from contrast.data.dataset import Dataset, Images
from contrast.data.select import select


@dataclass(frozen=True)
class STL10Unlabeled(Dataset):
    """One class, 0, that stands for none; the normalisation is that of `STL10`. There is no test split."""

    name: ClassVar[str] = "stl10-unlabeled"
    shape: ClassVar[tuple[int, int, int]] = (3, 96, 96)
    mean: ClassVar[tuple[float, ...]] = (0.4467, 0.4398, 0.4066)
    std: ClassVar[tuple[float, ...]] = (0.2603, 0.2566, 0.2713)
    class_count: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.part != "test", self, "part", "has no test split", "Use STL10() for what is scored.")

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return select(self, root)
