"""The generalised contrastive loss with a prior: align the two views, and match all views to a distribution, slice by slice."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast import random
from contrast.component import UserError, require
from contrast.losses.loss import Loss, full_precision
from contrast.losses.similarity import unit_views


@dataclass(frozen=True)
class SlicedWasserstein(Loss):
    """scale * (L_align + distribution_weight * SWD(z, prior)), L_align = (1 / 2Nd) sum_n |z_n1 - z_n2|^2 (PROTOCOL 2.6).

    SWD projects the 2N embeddings and 2N samples of the prior on the d directions of one random orthogonal basis, sorts both along
    each direction and takes the mean of the squared differences. `prior`: `sphere` (uniform; z is normalised then), `cube` (uniform
    in (-1, 1)^d) or `normal` (N(0, I)), these two for z as it is. Exactly 2 views; labels are not read.

    `distribution_weight` >= 0; `scale` > 0. Basis and samples are drawn anew for each step of a training; `draw` >= 0 fixes them
    (a call outside a training has draw 0). There is no temperature, hence no `lambda_eff` to report.
    """

    prior: Literal["sphere", "cube", "normal"]
    distribution_weight: float
    scale: float = 1.0
    draw: int | None = None
    contrastive: ClassVar[bool] = True
    fewest_views: ClassVar[int] = 2
    most_views: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        weighs = 0 <= self.distribution_weight < math.inf
        require(weighs, self, "distribution_weight", "must be 0 or above and finite", "Try 0.1 to 10.")
        require(0 < self.scale < math.inf, self, "scale", "must be above 0 and finite", "Leave it at 1 when in doubt.")
        require(self.draw is None or 0 <= self.draw < 2**63, self, "draw", "must be 0 or above and below 2**63", "Leave it out to train.")

    def at_step(self, seed: int, epoch: int, step: int) -> Loss:
        """The loss with the basis and the samples of one step."""
        return self if self.draw is not None else replace(self, draw=random.key(seed, f"loss/{step}", epoch) & (2**63 - 1))

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in 2 views each."""
        if output.shape[1] != 2:
            raise UserError(f"output has {output.shape[1]} views an image: SlicedWasserstein aligns 2. Use views that give 2.")
        z = unit_views(output) if self.prior == "sphere" else full_precision(output)
        alignment = (z[:, 0] - z[:, 1]).square().mean() / 2
        return self.scale * (alignment + self.distribution_weight * self.distance(z.flatten(0, 1)))

    def distance(self, z: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
        """SWD of the rows of z to the prior."""
        generator = torch.Generator().manual_seed(self.draw or 0)
        basis = random_basis(z.shape[1], generator).to(z)
        samples = self._samples(z.shape[0], z.shape[1], generator).to(z)
        with torch.autocast(z.device.type, enabled=False):
            ours, theirs = (z @ basis).sort(0).values, (samples @ basis).sort(0).values
        return (ours - theirs).square().mean()

    def _samples(self, number: int, width: int, generator: torch.Generator) -> Tensor:
        if self.prior == "cube":
            return torch.rand(number, width, dtype=torch.float64, generator=generator) * 2 - 1
        samples = torch.randn(number, width, dtype=torch.float64, generator=generator)
        return samples if self.prior == "normal" else torch.nn.functional.normalize(samples, dim=1)


def random_basis(width: int, generator: torch.Generator) -> Float[Tensor, "d d"]:
    """An orthogonal matrix drawn evenly from all: the Q of a Gaussian matrix, with the signs that make its R's diagonal positive."""
    q, r = torch.linalg.qr(torch.randn(width, width, dtype=torch.float64, generator=generator))
    basis: Tensor = q * r.diagonal().sign()
    return basis
