"""Tikhonov regularisation of a classifier: the loss of an image should change little when its pixels do."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from contrast.losses.cross_entropy import CrossEntropy
from contrast.losses.loss import Labels, Loss
from contrast.losses.max_margin import MaxMargin
from contrast.penalties.penalty import Penalty, Squared, refuse_unless_accepted, sum_of_squares


@dataclass(frozen=True)
class InputGradient(Penalty):
    """mean_i (weight / 2) |grad_{x_i} sum_j l_j|^2, l_j the loss of view j, x_i its pixels (PROTOCOL 6.1).

    The gradient is that of the *sum* of the losses, so that it is per sample and does not shrink with the batch. Where batch
    normalisation couples the samples, l_j for j != i adds its share; an exact per-sample gradient is not to be had then.
    Takes losses that classify every view by itself: `CrossEntropy` and `MaxMargin`.
    """

    version: ClassVar[int] = 2
    of_squares: ClassVar[bool] = True

    def accepts(self, loss: Loss) -> bool:
        """Losses of a classifier that are means over views."""
        return isinstance(loss, CrossEntropy | MaxMargin)

    def __call__(self, inputs: Float[Tensor, "n v c h w"], output: Float[Tensor, "n v d"], labels: Labels, loss: Loss) -> Float[Tensor, ""]:
        """The penalty of a batch, averaged over images and views."""
        return sum_of_squares(self, inputs, output, labels, loss)

    def squares(self, output: Float[Tensor, "n v d"], labels: Labels, loss: Loss) -> list[Squared]:
        """The sum of the losses of all views."""
        refuse_unless_accepted(self, loss)
        views = output.shape[0] * output.shape[1]
        return [(self.weight / 2 / views, loss(output, labels) * views)]
