"""IoU of every class of a segmentation (METRICS 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.accuracy.segmentation import Segmentation
from analysis.measure import Drawn, Measure, Parts
from contrast.component import require
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class ClassIoU(Measure):
    """Intersection over union of each class, in percent, of what a `Segmentation` found.

    Results: `worst`, the lowest, and `iou_<class>`, not a number for a class that is neither there nor predicted. Array: `iou` [C], 0 to 1.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        require(isinstance(self.of, Segmentation), self, "of", "must be a Segmentation", "Pass Segmentation(tuned, on=...).")

    def run(self, workspace: Workspace) -> Parts:
        """Reads what the measure kept; no network is run."""
        return self.measure(None, workspace)
        yield {}

    def measure(self, model: None, workspace: Workspace) -> Metrics:
        """`worst` and `iou_<class>`."""
        assert isinstance(self.of, Segmentation)
        iou = workspace.of(self.of).arrays()["iou"]
        workspace.keep_arrays(iou=iou)
        return {"worst": 100 * float(np.nanmin(iou)), **{f"iou_{label}": 100 * value for label, value in enumerate(iou.tolist())}}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """IoU of every class as bars, a panel per task, with intervals over seeds."""
        from analysis.figures.classes import class_bars

        return class_bars(drawn)
