"""Tikhonov regularisation of a layer-wise contrastive loss: every layer's own loss shall change little with the pixels."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from contrast.component import require
from contrast.losses.layerwise import Layerwise, weights
from contrast.losses.loss import Labels, Loss
from contrast.penalties.gradient_penalty import GradientPenalty, Squared
from contrast.penalties.penalty import refuse_unless_accepted


@dataclass(frozen=True)
class LayerwiseInputGradient(GradientPenalty):
    """sum_k beta_k R_k with R_k = (1/2) sum_i |grad_{x_i} L_k|^2 and beta_k = (weight / 2) decay^(r - k) (PROTOCOL 6.3).

    L_k is the loss of layer k of r, not weighted; i runs over all views of the batch. 0 <= `decay` <= 1: at 0 it is
    `ContrastiveInputGradient` of the last layer. Takes `Layerwise` losses only. R_k costs one more backward pass a layer.
    """

    decay: float = 0.1
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.decay <= 1, self, "decay", "must lie in 0 to 1", "0.1 lets the last layer dominate.")

    def accepts(self, loss: Loss) -> bool:
        """Layer-wise losses."""
        return isinstance(loss, Layerwise)

    def squares(self, output: Float[Tensor, "n v d"], labels: Labels, loss: Loss) -> list[Squared]:
        """The losses of the layers, without those of weight 0."""
        refuse_unless_accepted(self, loss)
        parts = loss.parts(output, labels) if isinstance(loss, Layerwise) else []
        betas = weights(len(parts), self.decay)
        return [(self.weight / 4 * beta, part) for beta, part in zip(betas, parts, strict=True) if beta]
