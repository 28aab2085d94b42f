"""Top-1 accuracy of a classifier, in percent, and its mean cross-entropy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.nn.functional import cross_entropy

from analysis.accuracy.logits import labels, logits
from analysis.checks import require_classifier, require_one_class
from analysis.measure import Drawn, Measure
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Accuracy(Measure):
    """Share of `on` whose largest logit is its label's, 0 to 100, in eval mode; `loss` is the mean cross-entropy in nats."""

    on: Dataset

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy` and `loss`; raises `UserError` when the network's outputs are not one a class."""
        outputs, classes = logits(self, model, self.on, workspace), labels(self.on, workspace)
        correct = int((outputs.argmax(dim=1) == classes).sum())
        return {"accuracy": 100 * correct / len(classes), "loss": cross_entropy(outputs, classes).item()}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Accuracy of each method on each task, with intervals (Table 1 as a figure)."""
        from analysis.figures.table1 import table1

        return table1(drawn)
