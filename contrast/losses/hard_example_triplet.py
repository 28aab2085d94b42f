"""The triplet loss with online hard example mining: only the anchors that cost most are learnt from."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import require
from contrast.losses.distances import hinge_sums, over_anchors
from contrast.losses.loss import Loss


@dataclass(frozen=True)
class HardExampleTriplet(Loss):
    """The mean over the share `keep` of the anchors with the highest mean cost over their triplets (OHEM: Shrivastava, Gupta and
    Girshick, 2016; PROTOCOL 2.4).

    The cost of a triplet is that of `Triplet`, which this is at `keep` = 1 where all classes are equally frequent. At least one
    anchor is kept; a batch without triplets costs 0. `margin` >= 0; 0 < `keep` <= 1. Raises `UserError` without labels.
    """

    margin: float = 0.2
    keep: float = 0.25
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.margin < math.inf, self, "margin", "must be 0 or above and finite", "0.2 is usual.")
        require(0 < self.keep <= 1, self, "keep", "must be above 0 and at most 1", "0.25 keeps the hardest quarter of the anchors.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each, with one label an image."""
        found = over_anchors(self, output, labels, self._means)
        counts = found[:, 1] > 0
        kept = max(1, math.ceil(self.keep * int(counts.sum())))
        hardest = found[:, 0].masked_fill(~counts, -1).topk(kept).indices
        return found[hardest, 0].mean()

    def _means(self, squared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        costs = hinge_sums(squared, negative.to(squared.dtype), self.margin)
        triplets = (positive.sum(1) * negative.sum(1)).to(squared.dtype)
        return torch.stack((torch.where(positive, costs, 0).sum(1) / triplets.clamp_min(1), triplets), 1)
