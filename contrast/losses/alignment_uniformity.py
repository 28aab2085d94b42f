"""Alignment and uniformity as a loss: views of an image close together, images spread evenly over the sphere."""

import math
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import UserError, require
from contrast.losses.loss import Loss
from contrast.losses.similarity import log_partition, unit_views

_LEAST = 1e-12  # of a squared distance, whose powers below 1 have no derivative at 0


@dataclass(frozen=True)
class AlignmentUniformity(Loss):
    """alignment_weight * mean |x - y|^alpha + uniformity_weight * log mean_{i<j} exp(-t |x_i - x_j|^2), x and y views of an image on
    the unit sphere (Wang and Isola, 2020; PROTOCOL 2.9).

    Uniformity is taken within each view and averaged, so that views of an image do not repel each other; an image alone has
    none, 0. `alpha` > 0 and `t` > 0 are 2 as published, the weights 1 (0 or above, not both 0). 2 views or more. Labels are not read.
    """

    alpha: float = 2.0
    t: float = 2.0
    alignment_weight: float = 1.0
    uniformity_weight: float = 1.0
    contrastive: ClassVar[bool] = True
    fewest_views: ClassVar[int] = 2

    def __post_init__(self) -> None:
        require(0 < self.alpha < math.inf, self, "alpha", "must be above 0 and finite", "2 is usual.")
        require(0 < self.t < math.inf, self, "t", "must be above 0 and finite", "2 is usual.")
        for name in ("alignment_weight", "uniformity_weight"):
            require(0 <= getattr(self, name) < math.inf, self, name, "must be 0 or above and finite", "1 is usual.")
        any_weight = self.alignment_weight + self.uniformity_weight > 0
        require(any_weight, self, "alignment_weight", "and uniformity_weight must not both be 0", "1 and 1 are usual.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each."""
        if output.shape[1] < 2:
            raise UserError(f"output has {output.shape[1]} view an image: AlignmentUniformity aligns 2 or more. Use SimCLRViews().")
        views = unit_views(output).unbind(1)
        squared = torch.stack([(x - y).square().sum(-1) for x, y in combinations(views, 2)])
        alignment = squared if self.alpha == 2 else squared.clamp_min(_LEAST) ** (self.alpha / 2)
        uniformity = torch.stack([self._uniformity(x) for x in views])
        return self.alignment_weight * alignment.mean() + self.uniformity_weight * uniformity.mean()

    def _uniformity(self, x: Tensor) -> Tensor:
        """On the sphere -t |x - y|^2 = 2 t (x . y - 1), so the sum over pairs is a partition at temperature 1 / 2t."""
        if len(x) < 2:
            return x.sum() * 0
        return log_partition(x, 1 / (2 * self.t)).logsumexp(0) - math.log(len(x) * (len(x) - 1)) - 2 * self.t
