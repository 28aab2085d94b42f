"""Supervised contrastive loss, "out": the logarithm is taken of each positive's probability, then the average."""

from dataclasses import dataclass

import torch
from torch import Tensor

from contrast.losses.similarity import log_partition, unit_views
from contrast.losses.supervised_contrastive import SupervisedContrastive


@dataclass(frozen=True)
class SupCon(SupervisedContrastive):
    """mean_i -(1/|P(i)|) sum_{p in P(i)} [s_ip - logsumexp_{a != i} s_ia] (PROTOCOL 2.2, SupCon-out).

    P(i) are all other views, of any image, with the label of i; s_ij = cosine(z_i, z_j) / temperature. An anchor without
    positives (or, where the denominator has negatives only, without negatives) counts as zero in the mean. `temperature` from 1e-4 to 1e6;
    the options are those of `SupervisedContrastive`. Raises `UserError` without labels.
    """

    def _uncapped(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        z = unit_views(output)
        same = (labels[:, None] == labels[None, :]).to(z.dtype)
        positives = (same.sum(1) * z.shape[1] - 1)[:, None]
        # The sum of s over the positives is one product with the sum of the class: no M x M mask of positives is formed.
        with torch.autocast(z.device.type, enabled=False):
            class_sum = same @ z.sum(1)
        agreement = (z * class_sum[:, None]).sum(-1) - z.square().sum(-1)
        partition = log_partition(z.flatten(0, 1), self.temperature).view(z.shape[:2])
        loss = partition - agreement / (positives.clamp_min(1) * self.temperature)
        return loss, (positives > 0).expand_as(loss)

    def _average(self, log_shares: Tensor, positive: Tensor, count: Tensor) -> Tensor:
        return -torch.where(positive, log_shares, 0).sum(1) / count
