"""Weighted k-nearest-neighbour accuracy: how well the labels of near features tell a sample's label.

Features are compared by cosine. The k nearest of the bank vote for their class with weight exp(cosine / temperature) (Wu et
al., 2018, "Unsupervised feature learning via non-parametric instance discrimination"; METRICS 8). One matrix product and
one top-k a chunk; a chunk's similarities fill at most 64 MB. When queries and bank are the same images, each sample is
removed from its own neighbours by its id, which is leave-one-out.
"""

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
    """The class with the largest weighted vote among the k nearest of the bank; a tie goes to the smaller class.

    `ids` and `bank_ids`: where both are given, a sample of the bank with the query's id is not its neighbour. Raises
    `ValueError` when k is not in 1 .. m, or 1 .. m - 1 with ids, or the temperature is not above 0.
    """
    by_id = ids is not None and bank_ids is not None
    if not 1 <= k <= len(bank) - by_id:
        raise ValueError(f"k = {k}: must be between 1 and {len(bank) - by_id}, the neighbours there are.")
    if not temperature > 0:
        raise ValueError(f"temperature = {temperature}: must be above 0.")
    features, bank = normalize(features, dim=1), normalize(bank, dim=1)
    classes = int(bank_labels.max()) + 1
    chunk = max(1, _CHUNK_BYTES // (bank.element_size() * len(bank)))
    votes = []
    for start in range(0, len(features), chunk):
        cosine = features[start : start + chunk] @ bank.T
        if ids is not None and bank_ids is not None:
            cosine.masked_fill_(ids[start : start + chunk, None] == bank_ids[None, :], -torch.inf)
        nearest, index = cosine.topk(k, dim=1)
        # Relative to the nearest one: the vote is the same and no temperature overflows.
        weight = ((nearest - nearest[:, :1]) / temperature).exp()
        vote = torch.zeros(len(cosine), classes, dtype=weight.dtype, device=weight.device)
        votes.append(vote.scatter_add_(1, bank_labels[index], weight).argmax(dim=1))
    return torch.cat(votes)
