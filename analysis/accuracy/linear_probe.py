"""Linear probe: multinomial logistic regression on frozen features, its strength of regularisation chosen off the score (METRICS 8)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from analysis.checks import require_apart, require_finite_features, require_one_class, require_one_stage, require_same_classes
from analysis.measure import Measure
from analysis.representation.embedding import At, embedding, require_at
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.probe import HALF_DECADES, fit_probe, require_every_class, require_images, require_strengths
from contrast.stage import Metrics, Workspace


@dataclass(frozen=True)
class LinearProbe(Measure):
    """Top-1 accuracy on `on`, 0 to 100, of the probe fitted on `data`; `l2` is a grid, 1e-6 to 10 by default.

    It minimises mean cross-entropy + l2/2 |W|^2, l2 = 1 / (N C) in scikit-learn's terms, on features that are centred and divided by
    their root mean square deviation. `at`: None reads the encoder's features, "projection" what the head makes of them.
    `contrast.LogisticRegression` is the same as a stage, whose classifier other measures may read.
    """

    data: Dataset
    on: Dataset
    l2: tuple[float, ...] = HALF_DECADES
    at: At | None = None
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "data", "on")
        require_strengths(self, self.l2)
        require_at(self, self.at)
        require_same_classes(self, "data")
        require_apart(self)

    def check(self, size: Callable[[Dataset], int]) -> None:
        """There must be images to fit and to choose by, with the encoder's channels."""
        super().check(size)
        require_images(self, size(self.data), self.data.num_classes, len(self.l2))

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy`, the chosen `l2`, and how many fits did not reach their optimum: `unconverged`, 0 unless something is wrong."""
        labels = _labels(self.data, workspace)
        self.check(lambda data: len(labels))
        require_every_class(self, labels, self.data.num_classes)
        x, shown = (embedding(model, data, self.at, workspace) for data in (self.data, self.on))
        require_finite_features(self, x, shown)
        probe = fit_probe(x, labels, self.l2)
        logits = shown.double() @ probe.weight.T + probe.bias
        truth = _labels(self.on, workspace)
        correct = int((logits.argmax(dim=1) == truth).sum())
        return {"accuracy": 100 * correct / len(truth), "l2": probe.l2, "unconverged": float(probe.unconverged)}


def _labels(data: Dataset, workspace: Workspace) -> Tensor:
    return torch.from_numpy(np.array(workspace.images(data).labels))
