"""Penalties that are sums of squared gradients at the pixels, exact: the graph of the first derivative is kept for the second."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrast.forward import Forward
from contrast.losses.loss import Labels, Loss, none_where_false
from contrast.penalties.penalty import Penalty, refuse_unless_accepted

Squared = tuple[float, Tensor]  # a coefficient, and the number whose gradient at the pixels is squared


@dataclass(frozen=True)
class GradientPenalty(Penalty, ABC):
    """sum_k c_k |d t_k / d x|^2 over all pixels x of all views, with (c_k, t_k) as `squares` tells; training in chunks can have it.

    `space="normalized"` takes the gradient with respect to the normalised images, which is that at the pixels times the standard
    deviation of the channel; None is pixel space. `frozen_norms` takes it in a pass of the penalty's own, in full precision and with
    batch normalisations by their running statistics: then it is exact for each image. None takes it in the pass of the loss.
    """

    _: KW_ONLY
    space: Literal["normalized"] | None = None
    frozen_norms: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        none_where_false(self, "frozen_norms")

    @abstractmethod
    def squares(self, output: Float[Tensor, "n v d"], labels: Labels, loss: Loss) -> Sequence[Squared]:
        """The (c_k, t_k) of a batch; raises `UserError` for a loss that it does not accept."""

    def scale(self, net: nn.Module) -> Tensor | None:
        """What the gradient at the pixels is multiplied by [1, c, 1, 1]; None is 1."""
        return None if self.space is None else net.get_buffer("std")

    def __call__(
        self, net: Forward, inputs: Float[Tensor, "n v c h w"], output: Float[Tensor, "m v d"], labels: Labels, loss: Loss
    ) -> Float[Tensor, ""]:
        """The penalty of a batch, summed over this process' images."""
        refuse_unless_accepted(self, loss)
        if self.weight == 0:
            return output.new_zeros(())
        parts = self.squares(net.frozen(inputs) if self.frozen_norms else output, labels, loss)
        scale = self.scale(net.net)
        return torch.stack([coefficient * squared_gradient_norm(total, inputs, scale) for coefficient, total in parts]).sum()


def squared_gradient_norm(total: Float[Tensor, ""], inputs: Float[Tensor, "n v c h w"], scale: Tensor | None = None) -> Float[Tensor, ""]:
    """|scale * d total / d inputs|^2 summed over all views and pixels, itself differentiable."""
    # Outside autocast: the backward pass would else multiply in bfloat16 what the forward pass had in float32.
    with torch.autocast(inputs.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(total, inputs, create_graph=True)
    return (gradient if scale is None else gradient * scale).square().sum()
