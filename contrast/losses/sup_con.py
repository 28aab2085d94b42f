"""Supervised contrastive loss, "out": the logarithm is taken of each positive's probability, then the average."""

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
class SupCon(Loss):
    """mean_i -(1/|P(i)|) sum_{p in P(i)} [s_ip - logsumexp_{a != i} s_ia] (PROTOCOL 2.2, SupCon-out).

    P(i) are all other views, of any image, with the label of i; s_ij = cosine(z_i, z_j) / temperature. An anchor without
    positives counts as zero in the mean. `temperature` > 0. Raises `UserError` without labels.
    """

    temperature: float
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 < self.temperature < math.inf, self, "temperature", "must be above 0 and finite", "Usual values are 0.03 to 1.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each, with one label an image."""
        labels = labels_for(self, labels)
        z = unit_views(output)
        same = (labels[:, None] == labels[None, :]).to(z.dtype)
        positives = (same.sum(1) * z.shape[1] - 1)[:, None]
        # The sum of s over the positives is one product with the sum of the class: no M x M mask of positives is formed.
        with torch.autocast(z.device.type, enabled=False):
            class_sum = same @ z.sum(1)
        agreement = (z * class_sum[:, None]).sum(-1) - z.square().sum(-1)
        partition = log_partition(z.flatten(0, 1), self.temperature).view(z.shape[:2])
        loss = partition - agreement / (positives.clamp_min(1) * self.temperature)
        return torch.where(positives > 0, loss, 0).mean()
