"""Accuracy class by class, averaged over the classes: each counts alike, however many images it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Float64, Int64
from torch import Tensor

from analysis.accuracy.logits import labels, logits
from analysis.checks import require_classifier, require_one_class
from analysis.measure import Drawn, Measure
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class MeanPerClass(Measure):
    """Mean over the classes of `on` of the share of their images, 0 to 100, whose largest logit is theirs, in eval mode."""

    on: Dataset

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`mean_per_class`; raises `UserError` when the network's outputs are not one a class."""
        return {"mean_per_class": mean_per_class(logits(self, model, self.on, workspace), labels(self.on, workspace))}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """The mean of each method on each task, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn, "mean per class (%)")


def mean_per_class(outputs: Float64[Tensor, "n c"], classes: Int64[Tensor, " n"]) -> float:
    """Mean, in percent, over the classes that some image has, of the share of their images whose largest output is theirs."""
    right = (outputs.argmax(dim=1) == classes).double()
    counts = classes.bincount()
    shares = classes.bincount(right)[counts > 0] / counts[counts > 0]
    return 100 * shares.mean().item()
