"""The triplet loss over all triplets: a positive shall be closer than a negative, by a margin."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import require
from contrast.losses.distances import hinge_sums, mean_of, over_anchors
from contrast.losses.loss import Loss


@dataclass(frozen=True)
class Triplet(Loss):
    """The mean over all (i, p, n) of max(0, |z_i - z_p|^2 - |z_i - z_n|^2 + margin), z on the unit sphere (PROTOCOL 2.4).

    p has the label of i, n has another; distances are squared, as in FaceNet. All triplets count, those without cost too; a batch
    without triplets, such as one of a single class, costs 0. `margin` >= 0. Raises `UserError` without labels.
    """

    margin: float = 0.2
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.margin < math.inf, self, "margin", "must be 0 or above and finite", "0.2 is usual.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each, with one label an image."""
        return mean_of(over_anchors(self, output, labels, self._sums))

    def _sums(self, squared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        costs = hinge_sums(squared, negative.to(squared.dtype), self.margin)
        triplets = positive.sum(1) * negative.sum(1)
        return torch.stack((torch.where(positive, costs, 0).sum(1), triplets.to(squared.dtype)), 1)
