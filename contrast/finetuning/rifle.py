"""RIFLE: the classifier is thrown away and learnt again several times, which moves the encoder on (Li et al., 2020; PROTOCOL 7.4)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrast import random
from contrast.component import require
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy, features_of, logits_of


@dataclass(frozen=True)
class RIFLE(TuningMethod):
    """CE; after each of the first `restarts` of `restarts` + 1 equal periods the classifier is drawn anew, its momentum kept.

    `restarts` >= 0; 0 is cross-entropy alone. `cyclic`: the classifier has a rate of its own, which begins each period at the
    optimiser's and falls towards 0 along half a cosine, an epoch at a time, whatever the schedule of the encoder is. A period is
    epochs / (restarts + 1), rounded down; what is left over is the last one's.
    """

    restarts: int = 3
    cyclic: bool | None = None
    takes_targets: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(self.restarts >= 0, self, "restarts", "must be 0 or above", "1 to 3 are usual.")
        if self.cyclic is False:
            object.__setattr__(self, "cyclic", None)
        returns = self.cyclic is None or self.restarts > 0
        require(returns, self, "cyclic", "has no effect without a restart", "Leave it out, or set restarts.")

    def check(self, batch_size: int, epochs: int, classes: int) -> None:
        """Every period has an epoch."""
        rule = f"makes more periods than the {epochs} epochs"
        require(self.restarts < epochs, self, "restarts", rule, "Lower it, or train longer.")

    def begin(self, tuned: Tuned, head: Callable[[torch.Generator], nn.Module], seed: int, epoch: int, epochs: int) -> None:
        """Draw the classifier anew where a period begins, but for the first."""
        period, place = self._place(epoch, epochs)
        if period > 0 and place == 0:
            fresh = head(random.generator(seed, "restart", epoch))
            with torch.no_grad():
                for weight, drawn in zip(tuned.net.top.parameters(), fresh.parameters(), strict=True):
                    weight.copy_(drawn)

    def head_lr(self, lr: float, epoch: int, epochs: int) -> float | None:
        """Half a cosine in each period, if `cyclic`."""
        if not self.cyclic:
            return None
        period, place = self._place(epoch, epochs)
        length = self._length(epochs)
        whole = length if period < self.restarts else epochs - period * length
        return lr * (1 + math.cos(math.pi * place / whole)) / 2

    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """See `TuningMethod`."""
        return cross_entropy(logits_of(tuned, features_of(tuned, batch)), batch.labels)

    def _length(self, epochs: int) -> int:
        return epochs // (self.restarts + 1)

    def _place(self, epoch: int, epochs: int) -> tuple[int, int]:
        """The period of `epoch`, and its place in it, both from 0."""
        period = min((epoch - 1) // self._length(epochs), self.restarts)
        return period, epoch - 1 - period * self._length(epochs)
