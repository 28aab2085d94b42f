"""N-pairs: one sample of each class is told from those of all other classes, by inner products that are not normalised."""

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import UserError, require
from contrast.losses.loss import Loss, full_precision, labels_for
from contrast.losses.similarity import log_partition


@dataclass(frozen=True)
class NPairs(Loss):
    """mean_i [logsumexp_{a != i} z_i . z_a - z_i . z_k(i)] + length_weight * mean_i |z_i|^2 (Sohn, 2016; PROTOCOL 2.4).

    A batch is N classes of two samples each, and k(i) is the other one of the class of i: with 2 views the other view of its
    image, labels not being read; with 1 view the other image of its class, and the batch must have two images of each class
    (`ClassPairs` draws such batches). z is not normalised and there is no temperature, so lengths are what is learnt too, and
    `length_weight` >= 0 holds them back. Raises `UserError` for other batches.
    """

    length_weight: float = 0.0
    contrastive: ClassVar[bool] = True
    most_views: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        require(0 <= self.length_weight < math.inf, self, "length_weight", "must be 0 or above and finite", "0.002 is usual.")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in 2 views each, or of pairs of images in 1."""
        z = full_precision(output)
        if z.shape[1] == 1:
            z = z[:, 0][self._pairs(labels_for(self, labels))]
        elif z.shape[1] != 2:
            raise UserError(f"output has {z.shape[1]} views an image: NPairs takes 1 or 2. Use views that give 2.")
        agreement = (z[:, 0] * z[:, 1]).sum(-1).mean()
        return log_partition(z.flatten(0, 1), 1.0).mean() - agreement + self.length_weight * z.square().sum(-1).mean()

    def _pairs(self, labels: Tensor) -> Tensor:
        """Positions [N / 2, 2] of the two images of each class."""
        order = labels.argsort(stable=True)
        kinds = labels[order]
        _, sizes = kinds.unique_consecutive(return_counts=True)
        if not bool((sizes == 2).all()):
            raise UserError(
                f"labels: {type(self).__name__} with one view needs two images of each class, and a batch has classes of "
                f"{int(sizes.min())} to {int(sizes.max())}. Set batches=ClassPairs(), or use views that give 2."
            )
        return order.view(-1, 2)
