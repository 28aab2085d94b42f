"""Mean average precision of images that may show several classes, interpolated at 11 points as PASCAL VOC 2007 defines it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float64, UInt8
from torch import Tensor

from analysis.accuracy.logits import logits
from analysis.checks import require_classifier
from analysis.measure import Drawn, Measure
from contrast.component import UserError, require
from contrast.data.dataset import IGNORED, Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_POINTS = 11


@dataclass(frozen=True)
class MeanAveragePrecision(Measure):
    """Mean over the classes of `on` of the average precision, 0 to 100, of its images ranked by the logit of the class, in eval mode.

    A class's average precision is the mean over recalls of 0, 0.1 .. 1 of the best precision at that recall or above (Everingham
    et al., 2010). Images for which the class is left open, such as those with difficult objects only, do not count for it; images of
    equal logits are taken together. Classes that no image shows are left out.
    """

    on: Dataset

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "must be images that may show several classes"
        require(self.on.multi_label, self, "on", rule, "Use VOC2007(), or Accuracy for images of one class.")
        require_classifier(self)

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`map`; raises `UserError` when the network's outputs are not one a class."""
        targets = workspace.images(self.on).targets
        if targets is None:
            raise UserError(f"{type(self.on).__name__}: its images have no targets. Return Images with targets from `load`.")
        return {"map": mean_average_precision(logits(self, model, self.on, workspace), torch.from_numpy(np.array(targets)))}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """The mean of each method on each task, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn, "mean average precision (%)")


def mean_average_precision(outputs: Float64[Tensor, "n c"], targets: UInt8[Tensor, "n c"]) -> float:
    """Mean, in percent, of the average precisions of all classes that some image shows; NaN where there is none."""
    precisions = []
    for scores, shown in zip(outputs.T, targets.T, strict=True):
        judged = shown != IGNORED
        if (shown == 1).any():
            precisions.append(average_precision(scores[judged], shown[judged] == 1))
    return 100 * sum(precisions) / len(precisions) if precisions else math.nan


def average_precision(scores: Float64[Tensor, " n"], shown: Bool[Tensor, " n"]) -> float:
    """The 11-point interpolated average precision, 0 to 1, of images ranked by `scores`, of which at least one is `shown`."""
    order = scores.argsort(descending=True)
    found = shown[order].cumsum(0)
    last = torch.cat([scores[order].diff() != 0, torch.ones(1, dtype=torch.bool)])  # of each run of equal scores
    found, taken = found[last], torch.arange(1, len(scores) + 1)[last]
    precision = found.double() / taken
    # Recalls are compared as integers: 3 of 10 found is a recall of 0.3, and 3 * 0.1 in floating point is above it.
    reached = [found * (_POINTS - 1) >= point * found[-1] for point in range(_POINTS)]
    return sum(precision[reaching].max().item() for reaching in reached) / _POINTS
