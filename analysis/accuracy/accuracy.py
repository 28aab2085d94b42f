"""Top-1 accuracy of a classifier, in percent, and its mean cross-entropy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from analysis.checks import require_classes, require_one_stage
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
        require_one_stage(self)

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy` and `loss`; raises `UserError` when the network's outputs are not one a class."""
        features = workspace.features(model, self.on)  # shared with the other measures of the stage
        with torch.no_grad():
            logits = model.net.top(features.to(workspace.device)).cpu().double()
        require_classes(self, logits.shape[1], self.on)
        labels = torch.from_numpy(np.array(workspace.images(self.on).labels))
        correct = int((logits.argmax(dim=1) == labels).sum())
        return {"accuracy": 100 * correct / len(labels), "loss": cross_entropy(logits, labels).item()}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Accuracy of each method on each task, with intervals (Table 1 as a figure)."""
        from analysis.figures.table1 import table1

        return table1(drawn)
