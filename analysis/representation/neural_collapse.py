"""Neural collapse: whether classes have become points on a simplex, and the classifier the nearest of them (METRICS 7)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from analysis.accuracy.logits import labels
from analysis.checks import require_one_class, require_one_stage
from analysis.measure import Drawn, Measure
from analysis.representation.collapse import by_class, cosines, duality, equinorm, nearest_mean, variability
from analysis.representation.embedding import At, embedding, require_at
from contrast.component import UserError, require
from contrast.data.dataset import Dataset
from contrast.finetune import Finetune
from contrast.heads.head import Head
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class NeuralCollapse(Measure):
    """How far the features of `on` are from neural collapse: 0 is collapse for all numbers but the shares, which are then 100 %.

    Results: `nc1`, tr(Sw Sb^+) / C, the spread within classes against that between; `nc2_equinorm`, the coefficient of variation of
    the lengths of the class means, less their mean; `nc2_equiangular`, the standard deviation of the cosines between them, and
    `nc2_simplex`, the mean of |cosine + 1 / (C - 1)|; `nearest_mean`, percent of images nearest to their own class mean; `classes`,
    the C that have images: others are left out. Where `of` ends in a classifier of as many classes as `on` has, also
    `nc4`, percent of images whose nearest mean is what it says, and where that is linear `nc3`, the squared distance of its weights,
    less their mean, and the class means, both of length 1. `at`: None reads the encoder's features, "projection" what the head makes
    of them. NaN where class means are one point, or a feature is not finite. Raises `UserError` where one class alone has images.
    """

    on: Dataset
    at: At | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "on")
        require(self.on.num_classes >= 2, self, "on", "must have 2 classes or more", "Name more classes.")
        require_at(self, self.at)

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`nc1`, `nc2_equinorm`, `nc2_equiangular`, `nc2_simplex`, `nearest_mean`, `classes`; of a classifier `nc4`, a linear one `nc3`."""
        features, truth = embedding(model, self.on, self.at, workspace), labels(self.on, workspace)
        known = by_class(features, truth)
        count = len(known.present)
        if count < 2:
            rule = f"must have images of 2 classes, and all are of class {known.present.tolist()}"
            raise UserError(f"NeuralCollapse.on = {self.on!r}: {rule}. Use a split that has more.")
        angles, nearest = cosines(known), nearest_mean(features, known)
        results = {
            "nc1": variability(known),
            "nc2_equinorm": equinorm(known),
            "nc2_equiangular": float(angles.std(correction=0)),
            "nc2_simplex": float((angles + 1 / (count - 1)).abs().mean()),
            "nearest_mean": _percent(nearest == truth),
        }
        said = _said(model, features, workspace)
        if self.at is None and said is not None and said.shape[1] == self.on.num_classes:
            results["nc4"] = _percent(nearest == said.argmax(dim=1))
            if isinstance(model.net.top, nn.Linear):
                results["nc3"] = duality(known, model.net.top.weight.cpu())
        if not features.isfinite().all():
            results = dict.fromkeys(results, math.nan)
        return results | {"classes": float(count)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """NC1 of each method, a dot a seed, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn, "NC1 (within / between)")


def _percent(right: Bool[Tensor, " n"]) -> float:
    return 100 * int(right.sum()) / len(right)


def _said(model: Model, features: Float[Tensor, "n d"], workspace: Workspace) -> Float[Tensor, "n k"] | None:
    """The outputs on the encoder's features of a network that ends in a classifier, None of another."""
    head = vars(model.stage).get("head")
    if not (isinstance(model.stage, Finetune) or (isinstance(head, Head) and head.classifies)):
        return None
    with torch.no_grad():
        outputs: Tensor = model.net.to(workspace.device).top(features.to(workspace.device)).cpu()
    return outputs
