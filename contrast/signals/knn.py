"""Weighted k-nearest-neighbour accuracy: how well the labels of near features tell a sample's label.

Features are compared by cosine. The k nearest of the bank vote for their class with weight exp(cosine / temperature) (Wu et
al., 2018, "Unsupervised feature learning via non-parametric instance discrimination"; METRICS 8). One matrix product and
one top-k a chunk, for all k together; a chunk's similarities fill at most 64 MB. When queries and bank are the same images, each
sample is removed from its own neighbours by its id, which is leave-one-out.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

_CHUNK_BYTES = 64 << 20


def knn_accuracy(
    features: Float[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    bank: Float[Tensor, "m d"],
    bank_labels: Int64[Tensor, " m"],
    k: int = 20,
    temperature: float = 0.07,
    ids: Int64[Tensor, " n"] | None = None,
    bank_ids: Int64[Tensor, " m"] | None = None,
) -> float:
    """Top-1 accuracy in percent of `knn_predictions`; the arguments are the same."""
    predicted = knn_predictions(features, bank, bank_labels, k, temperature, ids, bank_ids)
    return 100 * int((predicted == labels).sum()) / len(labels)


def knn_predictions(
    features: Float[Tensor, "n d"],
    bank: Float[Tensor, "m d"],
    bank_labels: Int64[Tensor, " m"],
    k: int = 20,
    temperature: float = 0.07,
    ids: Int64[Tensor, " n"] | None = None,
    bank_ids: Int64[Tensor, " m"] | None = None,
) -> Int64[Tensor, " n"]:
    """The row of `knn_predictions_by_k` for one k; the other arguments are the same."""
    return knn_predictions_by_k(features, bank, bank_labels, (k,), temperature, ids, bank_ids)[0]


def knn_predictions_by_k(
    features: Float[Tensor, "n d"],
    bank: Float[Tensor, "m d"],
    bank_labels: Int64[Tensor, " m"],
    ks: Sequence[int],
    temperature: float = 0.07,
    ids: Int64[Tensor, " n"] | None = None,
    bank_ids: Int64[Tensor, " m"] | None = None,
) -> Int64[Tensor, "k n"]:
    """The class with the largest weighted vote among the k nearest of the bank, for each k of `ks`, which increase; a tie goes to the
    smaller class.

    `ids` and `bank_ids`: where both are given, a sample of the bank with the query's id is not its neighbour. Raises
    `ValueError` when a k is not in 1 .. m, or 1 .. m - 1 with ids, or the temperature is not above 0.
    """
    by_id = ids is not None and bank_ids is not None
    steps = (0, *ks)
    if not ks or any(b <= a for a, b in pairwise(steps)) or ks[-1] > len(bank) - by_id:
        named = f"k = {ks[0]}" if len(ks) == 1 else f"ks = {tuple(ks)}"
        raise ValueError(f"{named}: must be between 1 and {len(bank) - by_id}, the neighbours there are, and increase.")
    if not temperature > 0:
        raise ValueError(f"temperature = {temperature}: must be above 0.")
    features, bank = normalize(features, dim=1), normalize(bank, dim=1)
    classes = int(bank_labels.max()) + 1
    chunk = max(1, _CHUNK_BYTES // (bank.element_size() * len(bank)))
    predicted = []
    for start in range(0, len(features), chunk):
        cosine = features[start : start + chunk] @ bank.T
        if ids is not None and bank_ids is not None:
            cosine.masked_fill_(ids[start : start + chunk, None] == bank_ids[None, :], -torch.inf)
        nearest, index = cosine.topk(ks[-1], dim=1)
        # Relative to the nearest one: the vote is the same and no temperature overflows.
        weight = ((nearest - nearest[:, :1]) / temperature).exp()
        vote, found = torch.zeros(len(cosine), classes, dtype=weight.dtype, device=weight.device), []
        for more in map(slice, steps, ks):  # the nearest ones' votes are those of every larger k, too
            vote.scatter_add_(1, bank_labels[index[:, more]], weight[:, more])
            found.append(vote.argmax(dim=1))
        predicted.append(torch.stack(found))
    return torch.cat(predicted, dim=1)
