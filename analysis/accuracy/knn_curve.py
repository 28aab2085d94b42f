"""Accuracy of the weighted nearest-neighbour vote for several numbers of neighbours, from one comparison (METRICS 8)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from analysis.accuracy.knn import accuracies, neighbours
from analysis.checks import require_above, require_one_class, require_one_stage, require_same_classes
from analysis.measure import Drawn, Measure
from analysis.representation.embedding import At, require_at
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class KNNCurve(Measure):
    """`KNN` for every k of `ks`, which increase: one matrix product and one search for the largest k serve all of them.

    Results: `accuracy`, percent at the last k, and `k_<k>` at each. Arrays: `k` and `accuracy` [K]. Raises `UserError` for k
    beyond the bank.
    """

    on: Dataset
    bank: Dataset | None = None
    ks: tuple[int, ...] = (1, 5, 20, 200)
    temperature: float = 0.07
    at: At | None = None
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "on", "bank")
        increasing = len(self.ks) > 0 and self.ks[0] >= 1 and all(a < b for a, b in pairwise(self.ks))
        require(increasing, self, "ks", "must be one or more integers from 1 up that increase", "Use (1, 5, 20, 200).")
        require_above(self, "temperature")
        require_at(self, self.at)
        if self.bank is not None:
            require_same_classes(self, "bank")

    def check(self, size: Callable[[Dataset], int]) -> None:
        """The neighbours of the largest k must exist, and images have the encoder's channels."""
        super().check(size)
        most = neighbours(self.on, self.bank, size)
        require(self.ks[-1] <= most, self, "ks", f"must be at most {most}, the neighbours there are", "Lower them or enlarge the bank.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy` and `k_<k>`."""
        self.check(lambda dataset: len(workspace.images(dataset).labels))
        curve = accuracies(model, self.on, self.bank, self.at, self.ks, self.temperature, workspace)
        workspace.keep_arrays(k=np.array(self.ks), accuracy=np.array(curve))
        return {"accuracy": curve[-1], **{f"k_{k}": accuracy for k, accuracy in zip(self.ks, curve, strict=True)}}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Accuracy against k, a panel per task, a line per method."""
        from analysis.curve import chance
        from analysis.figures.accuracy_curve import accuracy_curve

        return accuracy_curve(drawn, "k", "neighbours k", chance(one.measure.on for one in drawn if isinstance(one.measure, cls)))
