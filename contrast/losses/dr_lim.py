"""DrLIM: similar pairs are pulled together, dissimilar ones are pushed apart until they are a margin away."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import require
from contrast.losses.distances import squared_distances
from contrast.losses.loss import Loss, full_precision, labels_for
from contrast.losses.similarity import by_rows

_LEAST = 1e-12  # of a squared distance, whose root has no derivative at 0


@dataclass(frozen=True)
class DrLIM(Loss):
    """The mean over all pairs of D^2 / 2 (similar) or max(0, margin - D)^2 / 2 (dissimilar), D the Euclidean distance of the raw
    outputs (Hadsell, Chopra and LeCun, 2006; PROTOCOL 2.4).

    `similar`: two views are similar if they are of one `class` or, labels not being read, of one `image`. `margin` > 0.
    A batch of one view has no pairs and costs 0.
    """

    margin: float = 1.0
    similar: Literal["class", "image"] = "class"
    contrastive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 < self.margin < math.inf, self, "margin", "must be above 0 and finite", "1 is usual.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each."""
        n, views = output.shape[:2]
        kinds = labels_for(self, labels) if self.similar == "class" else torch.arange(n, device=output.device)
        kinds = kinds.repeat_interleave(views)
        z = full_precision(output).flatten(0, 1)

        def rows_of(rows: Tensor, others: Tensor, part: slice) -> Tensor:
            squared = squared_distances(rows, others)
            short = (self.margin - squared.clamp_min(_LEAST).sqrt()).clamp_min(0)
            cost = torch.where(kinds[part, None] == kinds, squared, short.square()) / 2
            own = torch.zeros_like(cost, dtype=torch.bool)
            own.diagonal(part.start).fill_(True)
            return cost.masked_fill(own, 0).sum(1)

        pairs = max(1, n * views * (n * views - 1))
        return by_rows(rows_of, z - z.detach().mean(0), z - z.detach().mean(0)).sum() / pairs
