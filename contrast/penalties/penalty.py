"""A penalty is a term added to a loss that asks for small gradients with respect to the pixels.

It differentiates the loss once for its value, and training differentiates it again. Images are in [0, 1] before
normalisation, so that a weight means the same for every data set.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from contrast.component import Component, UserError, require
from contrast.forward import Forward
from contrast.losses.loss import Labels, Loss


@dataclass(frozen=True)
class Penalty(Component, ABC):
    """`weight` >= 0 multiplies the penalty; at 0 it is zero and costs nothing. First and positional."""

    weight: float

    def __post_init__(self) -> None:
        require(0 <= self.weight < math.inf, self, "weight", "must be 0 or above and finite", "Usual values are 0.1 to 10.")

    @abstractmethod
    def accepts(self, loss: Loss) -> bool:
        """Whether the penalty is defined for `loss`."""

    @abstractmethod
    def __call__(
        self, net: Forward, inputs: Float[Tensor, "n v c h w"], output: Float[Tensor, "m v d"], labels: Labels, loss: Loss
    ) -> Float[Tensor, ""]:
        """The term to add to the loss, this process' share of it.

        `inputs` requires gradients, `output` is what `net.first` made of it, `labels` are those of the whole batch. Raises
        `UserError` for a loss that it does not accept.
        """


def refuse_unless_accepted(penalty: Penalty, loss: Loss) -> None:
    """Raise `UserError` when `penalty` is not defined for `loss`."""
    if not penalty.accepts(loss):
        cure = (
            "InputGradient and InputDifference go with CrossEntropy or MaxMargin, ContrastiveInputGradient with contrastive losses, "
            "LayerwiseInputGradient with Layerwise."
        )
        raise UserError(f"{penalty!r} is not defined for {type(loss).__name__}. {cure}")
