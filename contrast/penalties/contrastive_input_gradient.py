"""Tikhonov regularisation of a contrastive loss, which belongs to the batch as a whole."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from contrast.losses.loss import Labels, Loss
from contrast.penalties.gradient_penalty import GradientPenalty, Squared
from contrast.penalties.penalty import refuse_unless_accepted


@dataclass(frozen=True)
class ContrastiveInputGradient(GradientPenalty):
    """(weight / 2) R with R = (1/2) sum_i |grad_{x_i} L|^2 over all views i of the batch, L the batch's mean loss (PROTOCOL 6.2).

    The sum is meant literally: R falls as 1 / N since L is a mean, so `weight` has a meaning at one batch size only.
    `scaling="per_view"` multiplies R by the number of views in the batch, which makes it the same at all batch sizes and
    comparable with `InputGradient`; `scaling="averaged"` divides by it, the mean over views that dampens R once more.
    Takes contrastive losses only.
    """

    _: KW_ONLY
    scaling: Literal["per_view", "averaged"] | None = None
    version: ClassVar[int] = 2

    def accepts(self, loss: Loss) -> bool:
        """Contrastive losses."""
        return loss.contrastive

    def squares(self, output: Float[Tensor, "n v d"], labels: Labels, loss: Loss) -> list[Squared]:
        """The batch's mean loss."""
        refuse_unless_accepted(self, loss)
        views = output.shape[0] * output.shape[1]
        scale = {None: 1.0, "per_view": views, "averaged": 1 / views}[self.scaling]
        return [(self.weight / 4 * scale, loss(output, labels))]
