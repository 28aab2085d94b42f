"""Batch spectral shrinkage: the smallest singular values of a batch of features are pressed down (Chen et al., 2019; PROTOCOL 7.4)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from contrast.component import require
from contrast.encoders.encoder import Encoder
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy, features_of, logits_of
from contrast.heads.head import Head


@dataclass(frozen=True)
class BSS(TuningMethod):
    """CE + `eta` times the sum of squares of the `k` smallest singular values of the features [N, d] of a batch.

    `eta` >= 0; `k` is at least 1 and at most the batch. Of a batch that is smaller, as the last of an epoch may be, all count.
    """

    eta: float = 0.001
    k: int = 1
    takes_targets: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.eta < float("inf"), self, "eta", "must be 0 or above and finite", "0.001 is usual.")
        require(self.k >= 1, self, "k", "must be at least 1", "1 is usual.")

    def check(self, batch_size: int, epochs: int, classes: int) -> None:
        """A batch has at most as many singular values as images."""
        require(self.k <= batch_size, self, "k", f"is above the batch ({batch_size} images)", "Lower k, or enlarge batch_size.")

    def check_parts(self, encoder: Encoder | None, head: Head) -> None:
        """And at most as many as features."""
        fits = encoder is None or self.k <= encoder.width
        require(fits, self, "k", f"is above the width of the features of {encoder!r}", "Lower k.")

    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """See `TuningMethod`."""
        features = features_of(tuned, batch)
        return cross_entropy(logits_of(tuned, features), batch.labels) + self.eta * shrinkage(features, self.k)


def shrinkage(features: Float[Tensor, "n d"], k: int) -> Float[Tensor, ""]:
    """The sum of squares of the k smallest of the min(n, d) singular values."""
    with torch.autocast(features.device.type, enabled=False):
        values: Tensor = torch.linalg.svdvals(features)
    return values[-k:].square().sum()
