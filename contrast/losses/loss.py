"""A loss turns the network's output on several views of each image into one number.

The output comes as [N, V, d]: N images, V views of each, d numbers a view (a projection or logits). Whatever precision the
network ran in, a loss is computed in float32, or in float64 when the output is float64, never in bfloat16: differences of
similarities divided by a small temperature do not survive eight bits of mantissa.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import Component, UserError

Labels = Int[Tensor, " n"] | Float[Tensor, "n k"] | None  # a class an image, or its shares of all classes


@dataclass(frozen=True)
class Loss(Component, ABC):
    """A mean-reduced loss. `contrastive`: whether it compares views with each other, so that every image moves every other.

    `takes_shares`: whether labels may be shares of all classes [N, C] as well, such as those of mixed images.
    `fewest_views` and `most_views` (None: no limit) bound the views of an image that it can be given.
    """

    contrastive: ClassVar[bool]
    takes_shares: ClassVar[bool] = False
    fewest_views: ClassVar[int] = 1
    most_views: ClassVar[int | None] = None

    @abstractmethod
    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of a batch, averaged over images and views; `labels` may be None for a loss that needs none."""

    def at_step(self, seed: int, epoch: int, step: int) -> "Loss":
        """The loss of step `step` (from 0) of an epoch of a training: itself, unless it draws at random."""
        return self

    def constants(self, width: int) -> dict[str, float]:
        """Numbers that follow from the fields and from `width`, the d of the output, and that a report should show."""
        return {}


def none_where_false(owner: Component, *fields: str) -> None:
    """Set the `fields` that are False to None, so that an option switched off is the same value as one not named."""
    for field in fields:
        if getattr(owner, field) is False:
            object.__setattr__(owner, field, None)


def full_precision(output: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """`output` in float32, or unchanged when it is float64."""
    return output if output.dtype == torch.float64 else output.float()


def labels_for(loss: Loss, labels: Labels) -> Tensor:
    """`labels`, or a `UserError` when a loss that needs them was called without."""
    if labels is None:
        raise UserError(f"labels = None: {type(loss).__name__} needs the class of every image. Pass labels, or use NTXent.")
    return labels
