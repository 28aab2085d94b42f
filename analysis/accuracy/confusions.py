"""Which class is taken for which: the confusion matrix of a classifier of images, or of a segmentation (METRICS 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.accuracy.confusion import class_recall, confusion_matrix
from analysis.accuracy.logits import labels, logits
from analysis.accuracy.segmentation import Segmentation
from analysis.checks import require_classifier, require_one_class
from analysis.measure import Drawn, Measure, Parts
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_NONE = -1  # a label that no image has


@dataclass(frozen=True)
class Confusion(Measure):
    """`of` a classifier of the images of `on`, in eval mode; or, with `on=None`, what a `Segmentation` kept of its pixels.

    Results, in percent: `worst_recall`, of the class of which the least is found; `confused`, the largest share of a class that is taken
    for one and the same other class; `class_<id>`, the share of each class that is found, not a number for one that is not there.
    Array: `confusion` int64 [C, C], entry [i, j] how many of class i are taken for class j.
    """

    on: Dataset | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        kept = isinstance(self.of, Segmentation)
        rule = "must be the images that are classified, or None of a Segmentation"
        require(kept == (self.on is None), self, "on", rule, "Pass task.held_out(phase).")
        require_one_class(self, "on")
        if not kept:
            require_classifier(self)

    def run(self, workspace: Workspace) -> Parts:
        """A segmentation is read as it was kept; no network is run."""
        assert isinstance(self.of, Stage)
        return self.measure(None if isinstance(self.of, Segmentation) else workspace.model(self.of), workspace)
        yield {}

    def measure(self, model: Model | None, workspace: Workspace) -> Metrics:
        """`worst_recall`, `confused` and `class_<id>`; raises `UserError` when the network's outputs are not one a class."""
        confusion = self._confusion(model, workspace)
        workspace.keep_arrays(confusion=confusion)
        recall = 100 * class_recall(confusion)
        with np.errstate(invalid="ignore"):
            others = 100 * (confusion - np.diag(confusion.diagonal())) / confusion.sum(axis=1, keepdims=True)
        found = {f"class_{label}": value for label, value in enumerate(recall.tolist())}
        return {"worst_recall": float(np.nanmin(recall)), "confused": float(np.nanmax(others)), **found}

    def _confusion(self, model: Model | None, workspace: Workspace) -> np.ndarray:
        if model is None or self.on is None:
            assert isinstance(self.of, Segmentation)
            return workspace.of(self.of).arrays()["confusion"]
        predicted = logits(self, model, self.on, workspace).argmax(dim=1)
        return confusion_matrix(labels(self.on, workspace), predicted, self.on.num_classes, _NONE).numpy()

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Which share of a class is taken for which, a panel per task and method."""
        from analysis.figures.classes import confusions

        return confusions(drawn)
