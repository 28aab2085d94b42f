"""What the two supervised contrastive losses share: who counts as positive, who stands in the denominator, what is averaged."""

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import UserError, require
from contrast.losses.loss import Loss, labels_for, none_where_false
from contrast.losses.loss_scale import LossScale, scale_factor
from contrast.losses.similarity import by_rows, products, unit_views
from contrast.losses.temperature import require_temperature

NOBODY = -1e30  # the logarithm of an empty sum: finite, so that what is masked has derivatives of zero and not of nan


@dataclass(frozen=True)
class SupervisedContrastive(Loss, ABC):
    """The fields of `SupCon` and `SupConIn` (PROTOCOL 2.2, 9). All but `temperature` are off at None.

    `denominator`: None sums over all others; `one_positive` over the negatives and the one positive in question;
    `only_negatives` over the negatives. `cap`: at most so many positives besides an anchor's own views, a multiple of the number
    of views: those of the images of its class that come first in the batch; the surplus vanishes from the denominator too, or
    is counted with the negatives at `surplus="negatives"`. `mean_over_valid`: average over the anchors that count, not over all.
    `first_view`: only the first view of an image is an anchor. `loss_scale`: see `scale_factor`.
    """

    temperature: float
    _: KW_ONLY
    denominator: Literal["one_positive", "only_negatives"] | None = None
    cap: int | None = None
    surplus: Literal["negatives"] | None = None
    mean_over_valid: bool | None = None
    first_view: bool | None = None
    loss_scale: LossScale | None = None
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_temperature(self)
        require(self.cap is None or self.cap >= 0, self, "cap", "must be 0 or above", "Leave it out to use all positives.")
        capped = self.surplus is None or self.cap is not None
        require(capped, self, "surplus", "has no effect without a cap", "Give cap too, or leave surplus out.")
        none_where_false(self, "mean_over_valid", "first_view")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each, with one label an image."""
        labels = labels_for(self, labels)
        if self.denominator is None and self.cap is None:
            loss, counts = self._uncapped(output, labels)
        else:
            loss, counts = self._chosen(output, labels)
        if self.first_view:
            loss, counts = loss[:, :1], counts[:, :1]
        loss = torch.where(counts, loss, 0)
        mean = loss.sum() / counts.sum().clamp_min(1) if self.mean_over_valid else loss.mean()
        return mean if self.loss_scale is None else mean * scale_factor(self.loss_scale, self.temperature)

    @abstractmethod
    def _uncapped(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss [N, V] of every anchor with all others in the denominator, and whether it has positives."""

    @abstractmethod
    def _average(self, log_shares: Tensor, positive: Tensor, count: Tensor) -> Tensor:
        """The loss [r] of anchors whose logarithmic shares [r, M] are averaged over their positives, `count` [r] of them (1 for 0)."""

    def _chosen(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same with the denominator and the positives that the fields ask for."""
        n, views = output.shape[:2]
        if self.cap is not None and self.cap % views:
            raise UserError(
                f"{type(self).__name__}.cap = {self.cap}: must be a multiple of the {views} views. Use {self.cap // views * views}."
            )

        def anchors(rows: Tensor, others: Tensor, part: slice) -> Tensor:
            images = torch.arange(n * views, device=rows.device)[part] // views
            same, positive = self._of_class(images, labels, views)
            positive.diagonal(part.start).fill_(False)
            s = products(rows / self.temperature, others)
            shares, has_rivals = self._log_shares(s, same, positive, part.start)
            counts = positive.sum(1)
            loss = self._average(shares, positive, counts.clamp_min(1).to(s.dtype))
            return torch.stack((loss, ((counts > 0) & has_rivals).to(s.dtype)), 1)

        z = unit_views(output).flatten(0, 1)
        found = by_rows(anchors, z, z)
        return found[:, 0].view(n, views), found[:, 1].view(n, views) > 0

    def _of_class(self, images: Tensor, labels: Tensor, views: int) -> tuple[Tensor, Tensor]:
        """For the anchors' images [r]: which rows [r, M] are of their class, and which of these are positives or themselves."""
        same = labels[images, None] == labels
        if self.cap is None:
            return (rows := same.repeat_interleave(views, 1)), rows.clone()
        own = images[:, None] == torch.arange(len(labels), device=labels.device)
        first = (same & ~own).cumsum(1) <= self.cap // views
        return same.repeat_interleave(views, 1), (own | (same & first)).repeat_interleave(views, 1)

    def _log_shares(self, s: Tensor, same: Tensor, positive: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """log of exp(s_ip) over its denominator [r, M], and whether an anchor has one [r]."""
        negative = ~same if self.surplus is None else ~positive
        if self.surplus is not None:
            negative.diagonal(start).fill_(False)
        summed = negative | positive if self.denominator is None else negative
        partition = s.masked_fill(~summed, NOBODY).logsumexp(1, keepdim=True)
        if self.denominator == "one_positive":
            return -torch.nn.functional.softplus(partition - s), torch.ones_like(summed[:, 0])
        return s - partition, summed.any(1)
