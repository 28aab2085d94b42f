"""The triplet loss on the hardest positive and the hardest negative that the batch has for each anchor."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import require
from contrast.losses.distances import mean_of, over_anchors
from contrast.losses.loss import Loss


@dataclass(frozen=True)
class BatchHardTriplet(Loss):
    """The mean over anchors of max(0, max_p |z_i - z_p|^2 - min_n |z_i - z_n|^2 + margin), z on the unit sphere
    (Hermans, Beyer and Leibe, 2017, with squared distances; PROTOCOL 2.4).

    An anchor without positives or without negatives does not count; a batch without any other costs 0. `margin` >= 0.
    Raises `UserError` without labels.
    """

    margin: float = 0.2
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.margin < math.inf, self, "margin", "must be 0 or above and finite", "0.2 is usual.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each, with one label an image."""
        return mean_of(over_anchors(self, output, labels, self._hardest))

    def _hardest(self, squared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        counts = positive.any(1) & negative.any(1)
        beyond = 5.0  # more than any squared distance on the unit sphere
        far = squared.masked_fill(~positive, -beyond).amax(1)
        near = squared.masked_fill(~negative, beyond).amin(1)
        cost = torch.where(counts, (far - near + self.margin).clamp_min(0), 0)
        return torch.stack((cost, counts.to(squared.dtype)), 1)
