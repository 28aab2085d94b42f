"""The triplet loss on semi-hard negatives: the nearest that is farther than the positive."""

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
class SemiHardTriplet(Loss):
    """The mean over pairs (i, p) of max(0, |z_i - z_p|^2 - |z_i - z_n|^2 + margin), z on the unit sphere (PROTOCOL 2.4).

    n is the nearest negative farther from i than p is or, if there is none, the farthest negative (Schroff, Kalenichenko and
    Philbin, 2015). A batch without such pairs costs 0. `margin` >= 0. Raises `UserError` without labels.
    """

    margin: float = 0.2
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.margin < math.inf, self, "margin", "must be 0 or above and finite", "0.2 is usual.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each, with one label an image."""
        return mean_of(over_anchors(self, output, labels, self._semi_hard))

    def _semi_hard(self, squared: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        number = negative.sum(1, keepdim=True)
        far, _ = squared.masked_fill(~negative, torch.inf).sort(1)
        beyond = torch.searchsorted(far.detach(), squared.detach(), right=True)
        chosen = far.gather(1, torch.minimum(beyond, (number - 1).clamp_min(0)))
        counts = positive & (number > 0)
        # What does not count is masked before the difference: a distance of infinity times a gradient of 0 would be nan.
        cost = (squared - chosen.masked_fill(~counts, 0) + self.margin).clamp_min(0)
        return torch.stack((torch.where(counts, cost, 0).sum(1), counts.sum(1).to(squared.dtype)), 1)
