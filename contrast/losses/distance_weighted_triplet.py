"""The triplet loss with distance-weighted negatives: near and far ones count alike, though a sphere has few near ones."""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import require
from contrast.losses.distances import hinge_sums, mean_of, over_anchors
from contrast.losses.loss import Loss


@dataclass(frozen=True)
class DistanceWeightedTriplet(Loss):
    """The mean over pairs (i, p) of sum_n w_n max(0, |z_i - z_p|^2 - |z_i - z_n|^2 + margin), z on the unit sphere (PROTOCOL 2.4).

    w_n is 1 / q(D) normalised over the negatives, q(D) = D^(d - 2) (1 - D^2 / 4)^((d - 3) / 2) the density of the distances between
    random points of the sphere (Wu et al., 2017). The published method draws one n by these weights; this is what it costs in
    expectation, without its noise, and no gradient goes through the weights. Distances below `nearest` weigh as that; negatives
    beyond `farthest` are left out, and a pair that has no other does not count. `margin` >= 0; 0 < `nearest` < `farthest` <= 2.
    Raises `UserError` without labels.
    """

    margin: float = 0.2
    nearest: float = 0.5
    farthest: float = 1.4
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.margin < math.inf, self, "margin", "must be 0 or above and finite", "0.2 is usual.")
        require(0 < self.nearest < self.farthest, self, "nearest", "must lie between 0 and farthest", "0.5 is usual.")
        require(self.farthest <= 2, self, "farthest", "must be at most 2, the sphere's diameter", "1.4 is usual.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each, with one label an image."""
        return mean_of(over_anchors(self, output, labels, partial(self._expected, output.shape[2])))

    def _expected(self, width: int, squared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        weights = self._weights(width, squared.detach(), negative)
        costs = hinge_sums(squared, weights, self.margin)
        counts = positive & weights.gt(0).any(1, keepdim=True)
        return torch.stack((torch.where(counts, costs, 0).sum(1), counts.sum(1).to(squared.dtype)), 1)

    def _weights(self, width: int, squared: Tensor, negative: Tensor) -> Tensor:
        """Rows that sum to 1, or to 0 where a row has no negative within `farthest`."""
        within = negative & (squared <= self.farthest**2)
        clipped = squared.clamp(self.nearest**2, self.farthest**2)
        log_density = (width - 2) / 2 * clipped.log() + (width - 3) / 2 * (1 - clipped / 4).clamp_min(1e-6).log()
        inverse = (-log_density).masked_fill(~within, -torch.inf)
        return inverse.softmax(1).nan_to_num(0.0)  # a row of -inf alone
