"""Supervised contrastive loss, "in": the probabilities of the positives are averaged, then the logarithm is taken."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import require
from contrast.losses.loss import Loss, labels_for
from contrast.losses.similarity import log_partition, unit_views


@dataclass(frozen=True)
class SupConIn(Loss):
    """mean_i -log (1/|P(i)|) sum_{p in P(i)} exp(s_ip - logsumexp_{a != i} s_ia) (PROTOCOL 2.2, SupCon-in).

    P(i) are all other views, of any image, with the label of i; s_ij = cosine(z_i, z_j) / temperature. By Jensen it is never
    above `SupCon`. An anchor without positives counts as zero in the mean. `temperature` > 0. Raises `UserError` without
    labels.
    """

    temperature: float
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 < self.temperature < math.inf, self, "temperature", "must be above 0 and finite", "Usual values are 0.03 to 1.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each, with one label an image."""
        labels = labels_for(self, labels)
        z = unit_views(output).flatten(0, 1)
        views = output.shape[1]
        positives = ((labels[:, None] == labels).to(z.dtype).sum(1) * views - 1).repeat_interleave(views)
        to_positives = log_partition(z, self.temperature, labels.repeat_interleave(views))
        loss = log_partition(z, self.temperature) - to_positives + positives.clamp_min(1).log()
        return torch.where(positives > 0, loss, 0).mean()
