"""How far frozen features get with few labels: linear probes on random shares of each class (METRICS 8, PROTOCOL 4.2)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from analysis.accuracy.logits import labels
from analysis.checks import require_apart, require_finite_features, require_one_class, require_one_stage, require_same_classes
from analysis.measure import Drawn, Measure
from analysis.representation.embedding import At, embedding, require_at
from contrast import random
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.probe import HALF_DECADES, fit_probe, require_every_class, require_strengths
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class FewLabels(Measure):
    """Top-1 accuracy on `on`, 0 to 100, of `LinearProbe` fitted on each of `fractions` (they increase, 1 is all) of the labels of `data`.

    Each fraction is drawn `draws` times, equally of every class: draw j follows from (`seed`, j, ids of the samples), so every encoder
    gets the same labels, and a smaller fraction lies within the larger one of its draw. The l2 is chosen on a held-out tenth of the
    *few* labels, and the probe is fitted again on all of them; `on` chooses nothing. `data` is of the training split, whose fraction
    is None. Fractions that leave a class without a label are refused, and so is one label a class where several l2 are to choose from.
    `at`: None reads the encoder's features, "projection" what the head makes of them.

    Results: `labels_<percent>`, the mean over draws, of the fewest labels first; `sd_<percent>`, the standard deviation of the draws
    (ddof 1; 0 of all labels, which are one draw); `unconverged` fits. Arrays: `fraction`, `labels` (how many) and `accuracy` [F], `draws`
    and `l2` [F, D].
    """

    data: Dataset
    on: Dataset
    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)
    draws: int = 5
    l2: tuple[float, ...] = HALF_DECADES
    seed: int = 0
    at: At | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "data", "on")
        require_same_classes(self, "data")
        require_apart(self)
        require_strengths(self, self.l2)
        require_at(self, self.at)
        shares = len(self.fractions) > 0 and all(0 < share <= 1 for share in self.fractions)
        require(shares, self, "fractions", "must be above 0 and at most 1", "Use (0.01, 0.1, 1.0).")
        increasing = all(a < b for a, b in pairwise(self.fractions))
        require(increasing, self, "fractions", "must increase, each once", "Sort them.")
        require(self.draws >= 1, self, "draws", "must be at least 1", "Use 5.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")
        train = self.data.part in ("whole", "fit") and self.data.fraction is None
        require(train, self, "data", "must be of the training split, without a fraction of its own", "Use task.fit(phase).")

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Every class must have a label at the smallest fraction, and one of them two if an l2 is to be chosen."""
        super().check(size)
        count = size(replace(self.data, fraction=self.fractions[0]))  # which refuses a class without a label, by its name
        least = self.data.num_classes + (len(self.l2) > 1)
        rule = f"leave {count} labels, and {self.data.num_classes} classes and {len(self.l2)} l2 need {least}"
        require(count >= least, self, "fractions", rule, "Raise the first one, or name one l2.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`labels_<percent>`, `sd_<percent>` and `unconverged`."""
        self.check(lambda data: len(workspace.images(data).labels))
        x, y, ids = (
            embedding(model, self.data, self.at, workspace),
            labels(self.data, workspace),
            np.asarray(workspace.images(self.data).ids),
        )
        require_every_class(self, y, self.data.num_classes)
        shown, truth = embedding(model, self.on, self.at, workspace).double(), labels(self.on, workspace)
        require_finite_features(self, x, shown)
        orders = [random.permutation(self.seed, "few labels", ids, epoch=draw) for draw in range(self.draws)]
        accuracy, l2 = torch.zeros(2, len(self.fractions), self.draws, dtype=torch.float64)
        counts, unconverged = [], 0
        for i, fraction in enumerate(self.fractions):
            for draw, order in enumerate(orders[: None if fraction < 1 else 1]):
                rows = share_of_each_class(y, order, fraction)
                probe = fit_probe(x[rows], y[rows], self.l2)
                found = (shown @ probe.weight.T + probe.bias).argmax(dim=1)
                accuracy[i, draw:], l2[i, draw:] = 100 * int((found == truth).sum()) / len(truth), probe.l2
                unconverged += probe.unconverged
            counts.append(len(rows))
        workspace.keep_arrays(
            fraction=np.array(self.fractions),
            labels=np.array(counts),
            accuracy=accuracy.mean(dim=1).numpy(),
            draws=accuracy.numpy(),
            l2=l2.numpy(),
        )
        means = _named("labels", self.fractions, accuracy.mean(dim=1))
        spread = _named("sd", self.fractions, accuracy.std(dim=1)) if self.draws > 1 else {}
        return {**means, **spread, "unconverged": float(unconverged)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Accuracy against the share of the labels, a panel per task, a line per method."""
        from analysis.curve import chance
        from analysis.figures.accuracy_curve import accuracy_curve

        guessing = chance(one.measure.on for one in drawn if isinstance(one.measure, cls))
        return accuracy_curve(drawn, "fraction", "share of the labels (%)", guessing, scale=100)


def share_of_each_class(y: Int64[Tensor, " n"], order: Int64[np.ndarray, " n"], fraction: float) -> Int64[Tensor, " m"]:
    """Of every class the first round(`fraction` * its samples) rows in `order`, class by class; the rule of `Dataset.fraction`."""
    ordered = torch.from_numpy(order)
    of_class = [ordered[y[ordered] == label] for label in range(int(y.max()) + 1)]
    return torch.cat([rows[: round(fraction * len(rows))] for rows in of_class])


def _named(name: str, fractions: Sequence[float], values: Float64[Tensor, " f"]) -> dict[str, float]:
    return {f"{name}_{100 * fraction:g}": value for fraction, value in zip(fractions, values.tolist(), strict=True)}
