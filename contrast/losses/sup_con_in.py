"""Supervised contrastive loss, "in": the probabilities of the positives are averaged, then the logarithm is taken."""

from dataclasses import dataclass

from torch import Tensor

from contrast.losses.similarity import log_partition, unit_views
from contrast.losses.supervised_contrastive import NOBODY, SupervisedContrastive


@dataclass(frozen=True)
class SupConIn(SupervisedContrastive):
    """mean_i -log (1/|P(i)|) sum_{p in P(i)} exp(s_ip - logsumexp_{a != i} s_ia) (PROTOCOL 2.2, SupCon-in).

    P(i) are all other views, of any image, with the label of i; s_ij = cosine(z_i, z_j) / temperature. By Jensen it is never
    above `SupCon`. An anchor without positives (or, where the denominator has negatives only, without negatives) counts as zero
    in the mean. `temperature` from 1e-4 to 1e6; the options are those of `SupervisedContrastive`. Raises `UserError` without labels.
    """

    def _uncapped(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        z = unit_views(output).flatten(0, 1)
        views = output.shape[1]
        positives = ((labels[:, None] == labels).to(z.dtype).sum(1) * views - 1).repeat_interleave(views)
        to_positives = log_partition(z, self.temperature, labels.repeat_interleave(views))
        loss = log_partition(z, self.temperature) - to_positives + positives.clamp_min(1).log()
        return loss.view(output.shape[:2]), (positives > 0).view(output.shape[:2])

    def _average(self, log_shares: Tensor, positive: Tensor, count: Tensor) -> Tensor:
        return count.log() - log_shares.masked_fill(~positive, NOBODY).logsumexp(1)
