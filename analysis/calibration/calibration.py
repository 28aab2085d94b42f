"""Whether a classifier is as often right as it says, as it is and after temperature scaling (METRICS 6)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float64, Int64
from torch import Tensor

from analysis.accuracy.logits import labels, logits
from analysis.calibration.bins import binned, confidences, equal_width
from analysis.calibration.chance import ece_standard_error, null
from analysis.calibration.errors import class_wise_ece, debiased_l2, ece, ece_equal_mass
from analysis.calibration.proper import brier, nll
from analysis.calibration.temperature import COLDEST, cross_fitted, temperature
from analysis.checks import require_classifier, require_one_class, require_same_classes
from analysis.measure import Drawn, Measure
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Calibration(Measure):
    """Calibration errors of the largest probability on `on`, 0 to 1 in `bins` bins, and proper scores, in eval mode.

    Results: `ece`, its standard error over samples `ece_se`, and `ece_null`, what a calibrated network of these confidences would
    show; `ece_10` of 10 bins, `ece_equal_mass`, `l2` (debiased), `class_wise`; `nll` in nats; `brier`, 0 to 2, which is
    `reliability` - `resolution` + `uncertainty`; the same of logits over a `temperature`, as `scaled_ece` and so on. The temperature is
    fitted on `fit_on`, which the network was not trained on; without it on `on` itself, in two halves that are scaled each by the
    other's; it and what is scaled are NaN where the network is right of all that it is fitted on, so that none is the best.
    Arrays, by bin, also as `scaled_...`: `count`, mean `confidence`, `accuracy`, and `low` to `high`, the 95 % of
    accuracies that a calibrated network would show; NaN where a bin is empty.
    """

    on: Dataset
    fit_on: Dataset | None = None
    bins: int = 15
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on", "fit_on")
        require_classifier(self)
        require(self.bins >= 1, self, "bins", "must be at least 1", "Use 15.")
        if self.fit_on is not None:
            require_same_classes(self, "fit_on")
        require(self.fit_on != self.on, self, "fit_on", "must not be `on`", "Leave it out: `on` is scaled in two halves.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """Errors and scores; raises `UserError` when the network's outputs are not one a class, not finite, or probabilities."""
        outputs, classes = logits(self, model, self.on, workspace), labels(self.on, workspace)
        if self.fit_on is None:
            scaled, heat = cross_fitted(outputs, classes)
        else:
            heat = temperature(logits(self, model, self.fit_on, workspace), labels(self.fit_on, workspace))
            heat = math.nan if heat == COLDEST else heat
            scaled = outputs / heat
        ids = np.asarray(workspace.images(self.on).ids)
        before, drawn = scores(outputs, classes, ids, self.bins)
        if math.isnan(heat):
            after = dict.fromkeys(before, math.nan)
            drawn_after = {name: np.full_like(array, math.nan) for name, array in drawn.items()}
        else:
            after, drawn_after = scores(scaled, classes, ids, self.bins)
        workspace.keep_arrays(**drawn, **{f"scaled_{name}": array for name, array in drawn_after.items()})
        return {**before, "temperature": heat, **{f"scaled_{name}": value for name, value in after.items()}}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Reliability diagrams with the samples of each bin, and ECE and NLL before and after temperature scaling."""
        from analysis.figures.calibration import calibration

        return calibration(drawn)


def scores(
    outputs: Float64[Tensor, "n c"], classes: Int64[Tensor, " n"], ids: Int64[np.ndarray, " n"], bins: int
) -> tuple[Metrics, dict[str, np.ndarray]]:
    """All numbers of `Calibration` for logits as they are, and the arrays of the reliability diagram, [bins] each."""
    confidence, correct = confidences(outputs, classes)
    place = equal_width(confidence, bins)
    found, chance, parts = binned(confidence, correct, place, bins), null(confidence, place, bins, ids), brier(outputs, classes, bins)
    results = {
        "ece": ece(outputs, classes, bins),
        "ece_se": ece_standard_error(confidence, correct, place, bins),
        "ece_null": chance.ece,
        "ece_10": ece(outputs, classes, 10),
        "ece_equal_mass": ece_equal_mass(outputs, classes, bins),
        "l2": debiased_l2(outputs, classes, bins),
        "class_wise": class_wise_ece(outputs, classes, bins),
        "nll": nll(outputs, classes),
        "brier": parts.score,
        "reliability": parts.reliability,
        "resolution": parts.resolution,
        "uncertainty": parts.uncertainty,
    }
    means = {"confidence": found.confidence / found.count, "accuracy": found.correct / found.count}
    arrays = {"count": found.count.numpy(), **{name: mean.numpy() for name, mean in means.items()}}
    return results, {**arrays, "low": chance.low, "high": chance.high}
