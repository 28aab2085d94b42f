"""The large-margin classifier, a supervised baseline: the right class shall score higher than any other, by a margin."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import require
from contrast.losses.loss import Loss, full_precision, labels_for


@dataclass(frozen=True)
class MaxMargin(Loss):
    """The mean over images and views of max(0, margin + max_{c != y} f_c - f_y), f the logits (Crammer and Singer, 2001).

    The "max margin" row of the SupCon tables is a large-margin classifier and not `DrLIM` (PROTOCOL 2.4); which one, and with which
    settings, is not published, so numbers of this loss are ours. `margin` > 0. Raises `UserError` without labels.
    """

    margin: float = 1.0
    contrastive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(0 < self.margin < math.inf, self, "margin", "must be above 0 and finite", "1 is usual.")

    def __call__(self, output: Float[Tensor, "n v c"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of logits [N, V, C] and labels in 0..C-1."""
        return self.each(output, labels).mean()

    def each(self, output: Float[Tensor, "n v c"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, "n v"]:
        """What every view pays."""
        classes = labels_for(self, labels).repeat_interleave(output.shape[1])[:, None]
        logits = full_precision(output).flatten(0, 1)
        rival = logits.scatter(1, classes, -torch.inf).amax(1)
        return (self.margin + rival - logits.gather(1, classes)[:, 0]).clamp_min(0).view(output.shape[:2])
