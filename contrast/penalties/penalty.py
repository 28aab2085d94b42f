"""A penalty is a term added to a loss that asks for small gradients with respect to the pixels.

It differentiates the loss once for its value, and training differentiates it again: the graph of the first derivative is
kept. Images are in [0, 1] before normalisation, so that a weight means the same for every data set.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from contrast.component import Component, UserError, require
from contrast.losses.loss import Labels, Loss

Squared = tuple[float, Tensor]  # a coefficient, and the number whose gradient at the pixels is squared


@dataclass(frozen=True)
class Penalty(Component, ABC):
    """`weight` >= 0 multiplies the penalty; at 0 it is zero and costs nothing. First and positional.

    `of_squares`: whether it is a sum of squared gradients that `squares` tells, as training in chunks wants it.
    """

    weight: float
    of_squares: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(0 <= self.weight < math.inf, self, "weight", "must be 0 or above and finite", "Usual values are 0.1 to 10.")

    @abstractmethod
    def accepts(self, loss: Loss) -> bool:
        """Whether the penalty is defined for `loss`."""

    @abstractmethod
    def __call__(self, inputs: Float[Tensor, "n v c h w"], output: Float[Tensor, "n v d"], labels: Labels, loss: Loss) -> Float[Tensor, ""]:
        """The term to add to the loss; `inputs` requires gradients, and `output` was computed from it.

        Raises `UserError` for a loss that it does not accept.
        """

    def squares(self, output: Float[Tensor, "n v d"], labels: Labels, loss: Loss) -> Sequence[Squared]:
        """The (c_k, t_k) of a penalty that is sum_k c_k |d t_k / d inputs|^2 and says so (`of_squares`).

        Raises `UserError` for a loss that it does not accept.
        """
        raise UserError(f"{self!r} is not known as a sum of squared gradients. Declare of_squares and squares, or train without chunks.")


def sum_of_squares(
    penalty: Penalty, inputs: Float[Tensor, "n v c h w"], output: Float[Tensor, "n v d"], labels: Labels, loss: Loss
) -> Float[Tensor, ""]:
    """A `penalty` that is the sum of its `squares`."""
    refuse_unless_accepted(penalty, loss)
    if penalty.weight == 0:
        return output.new_zeros(())
    parts = penalty.squares(output, labels, loss)
    return torch.stack([coefficient * squared_gradient_norm(total, inputs) for coefficient, total in parts]).sum()


def squared_gradient_norm(total: Float[Tensor, ""], inputs: Float[Tensor, "n v c h w"]) -> Float[Tensor, ""]:
    """|d total / d inputs|^2 summed over all views and pixels, itself differentiable."""
    # Outside autocast: the backward pass would else multiply in bfloat16 what the forward pass had in float32.
    with torch.autocast(inputs.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(total, inputs, create_graph=True)
    return gradient.square().sum()


def refuse_unless_accepted(penalty: Penalty, loss: Loss) -> None:
    """Raise `UserError` when `penalty` is not defined for `loss`."""
    if not penalty.accepts(loss):
        cure = (
            "InputGradient goes with CrossEntropy or MaxMargin, ContrastiveInputGradient with contrastive losses, "
            "LayerwiseInputGradient with Layerwise."
        )
        raise UserError(f"{penalty!r} is not defined for {type(loss).__name__}. {cure}")
