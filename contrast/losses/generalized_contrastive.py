"""Generalised contrastive loss: align the two views of an image, spread all views over the sphere, weigh the two freely."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import UserError, require
from contrast.losses.loss import Loss, none_where_false
from contrast.losses.similarity import log_partition, unit_views, with_self
from contrast.losses.temperature import require_temperature


@dataclass(frozen=True)
class GeneralizedContrastive(Loss):
    """scale * (L_align + distribution_weight * mean_i logsumexp_{j != i} s_ij), s_ij = z_i . z_j / temperature (PROTOCOL 2.6, lse_sphere).

    z is on the unit sphere and L_align = (1 / 2Nd) sum_n |z_n1 - z_n2|^2, a mean over N d numbers. Exactly 2 views.
    At distribution_weight = temperature / d the identity d * loss - 1 = temperature * NT-Xent holds (scale 1); so the weight
    to compare over widths and temperatures is `lambda_eff` = distribution_weight * d / temperature, which is 1 there.

    `temperature` from 1e-4 to 1e6, `distribution_weight` >= 0. `scale` > 0 multiplies the whole loss: the mean over d makes it small, and
    scale = d / temperature gives it the gradients of NT-Xent when lambda_eff is 1. With `include_self` j runs over i too, as in
    the published notebook; at temperatures of 0.1 and below nothing is spread then. Labels are not read.
    """

    temperature: float
    distribution_weight: float
    scale: float = 1.0
    _: KW_ONLY
    include_self: bool | None = None
    contrastive: ClassVar[bool] = True
    fewest_views: ClassVar[int] = 2
    most_views: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        require_temperature(self)
        weighs = 0 <= self.distribution_weight < math.inf
        require(weighs, self, "distribution_weight", "must be 0 or above and finite", "NT-Xent's balance is temperature / width.")
        require(0 < self.scale < math.inf, self, "scale", "must be above 0 and finite", "Leave it at 1 when in doubt.")
        none_where_false(self, "include_self")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in 2 views each."""
        if output.shape[1] != 2:
            raise UserError(f"output has {output.shape[1]} views an image: GeneralizedContrastive aligns 2. Use views that give 2.")
        z = unit_views(output)
        alignment = (z[:, 0] - z[:, 1]).square().mean() / 2
        spread = log_partition(z.flatten(0, 1), self.temperature)
        if self.include_self:
            spread = with_self(spread, z.flatten(0, 1), self.temperature)
        return self.scale * (alignment + self.distribution_weight * spread.mean())

    def constants(self, width: int) -> dict[str, float]:
        """`lambda_eff`: 1 where the balance of the two terms is NT-Xent's."""
        return {"lambda_eff": self.distribution_weight * width / self.temperature}
