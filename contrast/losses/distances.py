"""Squared distances between embeddings, and the losses of triplets of them without listing the triplets."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from contrast.losses.loss import Loss, labels_for
from contrast.losses.similarity import by_rows, products, unit_views


def squared_distances(rows: Float[Tensor, "r d"], others: Float[Tensor, "m d"]) -> Float[Tensor, "r m"]:
    """|rows_i - others_j|^2 to 1e-7 of the squared lengths, never below 0."""
    squared = rows.square().sum(1)[:, None] + others.square().sum(1) - 2 * products(rows, others)
    return squared.clamp_min(0)


def over_anchors(
    loss: Loss,
    output: Float[Tensor, "n v d"],
    labels: Int[Tensor, "n"] | None,
    reduce: Callable[[Float[Tensor, "r m"], Bool[Tensor, "r m"], Bool[Tensor, "r m"]], Float[Tensor, "r k"]],
) -> Float[Tensor, "m k"]:
    """`reduce(squared distances, positive, negative)` of every view as anchor, on the unit sphere.

    Positives of an anchor are the other views of its class, negatives all views of other classes.
    """
    classes = labels_for(loss, labels).repeat_interleave(output.shape[1])
    z = unit_views(output).flatten(0, 1)

    def rows_of(rows: Tensor, others: Tensor, part: slice) -> Tensor:
        same = classes[part, None] == classes
        negative = ~same
        same.diagonal(part.start).fill_(False)
        return reduce(squared_distances(rows, others), same, negative)

    return by_rows(rows_of, z, z)


def mean_of(found: Float[Tensor, "m 2"]) -> Float[Tensor, ""]:
    """Sum of the first column over sum of the second, 0 where there is nothing to average."""
    return found[:, 0].sum() / found[:, 1].sum().clamp_min(1)


def hinge_sums(squared: Float[Tensor, "r m"], weights: Float[Tensor, "r m"], margin: float) -> Float[Tensor, "r m"]:
    """sum_n weights_n max(0, squared_p - squared_n + margin) for every p of a row; n counts where its weight is above 0.

    Sorted by distance the n that cost something come first, so two running sums give all p at once: M log M and not M^2 a row.
    """
    counts = weights > 0
    far, order = squared.masked_fill(~counts, torch.inf).sort(1)
    weights = weights.gather(1, order)
    sums = torch.stack((weights, torch.where(weights > 0, far, 0) * weights)).cumsum(2)
    sums = torch.nn.functional.pad(sums, (1, 0))
    reach = squared + margin
    near = torch.searchsorted(far.detach(), reach.detach()).expand(2, -1, -1)
    weight, distance = sums.gather(2, near)
    total: Tensor = reach * weight - distance
    return total
