"""Top-k accuracy of a classifier, in percent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float64, Int64
from torch import Tensor

from analysis.accuracy.logits import labels, logits
from analysis.checks import require_classifier, require_one_class
from analysis.measure import Drawn, Measure
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class TopK(Measure):
    """Share of `on`, 0 to 100, whose label is among the `k` largest logits, in eval mode; of equal logits the lower class is first.

    `k` is from 1, where it is `Accuracy`, to the number of classes.
    """

    on: Dataset
    k: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        most = self.on.num_classes
        require(1 <= self.k <= most, self, "k", f"must be from 1 to {most}, the classes of the data", "Use 5 where there are many classes.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`top_<k>`; raises `UserError` when the network's outputs are not one a class."""
        return {f"top_{self.k}": top_k(logits(self, model, self.on, workspace), labels(self.on, workspace), self.k)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Top-k accuracy of each method on each task, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn, "top-k accuracy (%)")


def top_k(outputs: Float64[Tensor, "n c"], classes: Int64[Tensor, " n"], k: int) -> float:
    """Share of rows, in percent, in which fewer than `k` outputs come before that of the row's class."""
    order = outputs.argsort(dim=1, descending=True, stable=True)[:, :k]
    return 100 * int((order == classes[:, None]).any(dim=1).sum()) / len(classes)
