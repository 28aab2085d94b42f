"""InfoNCE against a queue, the loss of MoCo: find the key of the own image among the keys of earlier ones."""

import torch
from jaxtyping import Float
from torch import Tensor

from contrast.losses.similarity import by_rows, products


def info_nce(
    queries: Float[Tensor, "n d"], keys: Float[Tensor, "n d"], queue: Float[Tensor, "k d"], temperature: float
) -> Float[Tensor, ""]:
    """mean_i [log(e^{q_i.k_i / t} + sum_j e^{q_i.queue_j / t}) - q_i.k_i / t], t the temperature; all rows of length 1 (PROTOCOL 2.7).

    The [n, k] matrix of similarities is formed in blocks of rows and not kept.
    """
    own = (queries * keys).sum(1) / temperature
    others = by_rows(lambda rows, queued, part: (products(rows, queued) / temperature).logsumexp(1), queries, queue)
    return (torch.stack((own, others)).logsumexp(0) - own).mean()
