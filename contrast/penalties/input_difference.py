"""Tikhonov regularisation of a classifier by finite differences: one more forward pass in place of a second derivative."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from contrast.component import require
from contrast.forward import Forward
from contrast.losses.cross_entropy import CrossEntropy
from contrast.losses.loss import Labels, Loss, none_where_false
from contrast.losses.max_margin import MaxMargin
from contrast.penalties.penalty import Penalty, refuse_unless_accepted


@dataclass(frozen=True)
class InputDifference(Penalty):
    """(weight / 2) mean_i [(l_i(x + h v) - l_i(x)) / h]^2, v_i the direction of grad_{x_i} sum_j l_j (PROTOCOL 6.1).

    `InputGradient` up to O(h), as its authors compute it (Finlay and Oberman, 2021, "Scaleable input gradient regularization for
    adversarial robustness"): v is held fixed, and is 0 for a view without gradient. `h` is a length in pixels of [0, 1], from 1e-4,
    below which losses in float32 differ by rounding, to 1. `central` takes (l_i(x + h v) - l_i(x - h v)) / 2h, equal up to O(h^2).
    `space="normalized"` takes gradient, direction and h with respect to the normalised images; None is pixel space.
    `frozen_norms` takes all of it with batch normalisations by their running statistics; None by those of the batch, which are not
    remembered. Losses are compared in full precision. Takes `CrossEntropy` and `MaxMargin`, and a batch in one chunk.
    """

    _: KW_ONLY
    h: float = 1e-2
    central: bool | None = None
    space: Literal["normalized"] | None = None
    frozen_norms: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1e-4 <= self.h <= 1, self, "h", "must lie in 1e-4 to 1", "0.01 is usual.")
        none_where_false(self, "central", "frozen_norms")

    def accepts(self, loss: Loss) -> bool:
        """Losses of a classifier that are means over views."""
        return isinstance(loss, CrossEntropy | MaxMargin)

    def __call__(
        self, net: Forward, inputs: Float[Tensor, "n v c h w"], output: Float[Tensor, "m v d"], labels: Labels, loss: Loss
    ) -> Float[Tensor, ""]:
        """The penalty of a batch, this process' images' share of the mean."""
        refuse_unless_accepted(self, loss)
        if self.weight == 0 or not isinstance(loss, CrossEntropy | MaxMargin):
            return output.new_zeros(())
        look = net.frozen if self.frozen_norms else net.again
        own = self.frozen_norms or net.precision is not torch.float32
        here = loss.each(look(inputs) if own else output, labels)
        (gradient,) = torch.autograd.grad(here.sum(), inputs, retain_graph=True)
        scale = 1.0 if self.space is None else net.net.get_buffer("std")
        step = self.h * scale * direction(gradient * scale)
        ahead = loss.each(look(inputs.detach() + step), labels)
        behind = loss.each(look(inputs.detach() - step), labels) if self.central else here
        slopes = (ahead - behind) / (2 * self.h if self.central else self.h)
        return self.weight / 2 * slopes[net.rows].square().sum() / slopes.numel()


def direction(gradient: Float[Tensor, "n v c h w"]) -> Float[Tensor, "n v c h w"]:
    """Each view's gradient divided by its length; one of length 0 stays."""
    largest = gradient.abs().amax((2, 3, 4), keepdim=True)
    gradient = gradient / torch.where(largest > 0, largest, 1)  # squares of small numbers would vanish
    length: Tensor = torch.linalg.vector_norm(gradient, dim=(2, 3, 4), keepdim=True)
    return gradient / length.clamp(min=1)
