"""The cross-view form of NT-Xent: a view is compared with the other views of the batch's images, never with its own kind."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import UserError
from contrast.losses.loss import Loss
from contrast.losses.similarity import by_rows, products, unit_views
from contrast.losses.temperature import require_temperature


@dataclass(frozen=True)
class CrossView(Loss):
    """sum over both directions of mean_i [logsumexp_j s_ij - s_ii], s_ij = cosine(z_i1, z_j2) / temperature (PROTOCOL 2.1).

    N - 1 negatives where `NTXent` has 2N - 2: another estimator, that of the random-bits experiments. It is the *sum* of the two
    directions, so 2 log N where all embeddings agree. Exactly 2 views; `temperature` from 1e-4 to 1e6. Labels are not read.
    """

    temperature: float
    contrastive: ClassVar[bool] = True
    fewest_views: ClassVar[int] = 2
    most_views: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        require_temperature(self)

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in 2 views each."""
        if output.shape[1] != 2:
            raise UserError(f"output has {output.shape[1]} views an image: CrossView compares 2. Use views that give 2.")
        first, second = unit_views(output).unbind(1)
        forth, back = by_rows(self._partition, first, second), by_rows(self._partition, second, first)
        agreement = (first * second).sum(-1) / self.temperature
        return (forth + back - 2 * agreement).mean()

    def _partition(self, rows: Tensor, others: Tensor, part: slice) -> Tensor:
        return products(rows / self.temperature, others).logsumexp(1)
