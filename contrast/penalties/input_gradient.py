"""Tikhonov regularisation of a classifier: the loss of an image should change little when its pixels do."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from contrast.losses.cross_entropy import CrossEntropy
from contrast.losses.loss import Labels, Loss
from contrast.losses.max_margin import MaxMargin
from contrast.penalties.gradient_penalty import GradientPenalty, Squared
from contrast.penalties.penalty import refuse_unless_accepted


@dataclass(frozen=True)
class InputGradient(GradientPenalty):
    """mean_i (weight / 2) |grad_{x_i} sum_j l_j|^2, l_j the loss of view j, x_i its pixels (PROTOCOL 6.1).

    The gradient is that of the *sum* of the losses, so that it is per sample and does not shrink with the batch. Where batch
    normalisation couples the samples, l_j for j != i adds its share; an exact per-sample gradient is not to be had then, but for
    one at frozen statistics (`frozen_norms`). Takes losses that classify every view by itself: `CrossEntropy` and `MaxMargin`.
    """

    version: ClassVar[int] = 2

    def accepts(self, loss: Loss) -> bool:
        """Losses of a classifier that are means over views."""
        return isinstance(loss, CrossEntropy | MaxMargin)

    def squares(self, output: Float[Tensor, "n v d"], labels: Labels, loss: Loss) -> list[Squared]:
        """The sum of the losses of all views."""
        refuse_unless_accepted(self, loss)
        views = output.shape[0] * output.shape[1]
        return [(self.weight / 2 / views, loss(output, labels) * views)]
