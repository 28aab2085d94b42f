"""The focal contrastive loss: supervised contrast that attends to hard pairs (Zhang et al., NeurIPS 2021; PROTOCOL 7.2)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from contrast.losses.similarity import products, unit_views
from contrast.losses.supervised_contrastive import NOBODY


def focal_contrast(
    similar: Float[Tensor, "n a"],
    positive: Bool[Tensor, "n a"],
    focal: bool = True,
    detach_weight: bool = False,
    columns: int | None = None,
) -> Float[Tensor, ""]:
    """mean_i -(1 / |P_i|) sum_{p in P_i} (1 - p_ip) log p_ip, where p_i is the softmax of row i of `similar`.

    `similar` is cosine / temperature, NOBODY where a column does not stand in the denominator. Without `focal` the weights are 1;
    with `detach_weight` no gradient goes through them. An anchor without positives counts as 0. `columns` divides by so many
    numbers in the place of |P_i|, and averages over the anchors that have positives.
    """
    log_p = similar - similar.logsumexp(1, keepdim=True)
    weight = 1 - log_p.exp() if focal else torch.ones_like(log_p)
    if detach_weight:
        weight = weight.detach()
    each = -torch.where(positive, weight * log_p, 0).sum(1)
    count = positive.sum(1)
    if columns is None:
        return (each / count.clamp_min(1)).mean()
    return each.sum() / columns / (count > 0).sum().clamp_min(1)


def among_own(
    z: Float[Tensor, "n d"], synthetic: tuple[Tensor, Tensor] | None, labels: Tensor, temperature: float
) -> tuple[Float[Tensor, "n a"], Bool[Tensor, "n a"]]:
    """Similarities of each sample to all others and to its own hard positive and hard negative, and which of them are positives.

    The hard positive of a sample is among its positives, the hard negative among those in the denominator (the paper's sets).
    """
    unit = unit_views(z[:, None])[:, 0]
    same = labels[:, None] == labels
    similar, positive = products(unit / temperature, unit), same.clone()
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    similar, positive = similar.masked_fill(own, NOBODY), positive & ~own
    if synthetic is None:
        return similar, positive
    pairs = [(unit * unit_views(each[:, None])[:, 0]).sum(1, keepdim=True) / temperature for each in synthetic]
    yes = torch.ones_like(own[:, :1])
    return torch.cat([similar, *pairs], 1), torch.cat([positive, yes, ~yes], 1)


def among_all(
    z: Float[Tensor, "m d"], shares: Float[Tensor, "m c"], temperature: float
) -> tuple[Float[Tensor, "m m"], Bool[Tensor, "m m"]]:
    """Similarities of every sample, mixed or not, to all others; positives are those whose label has the same official number.

    That number is sum_c 10^c y_c in float32, so a hard positive is no positive of its anchor unless all of it is of one class,
    and some different mixtures share a number.
    """
    unit = unit_views(z[:, None])[:, 0]
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    numbers = official_numbers(shares)
    same = numbers[:, None] == numbers
    return products(unit / temperature, unit).masked_fill(own, NOBODY), same & ~own


def official_numbers(shares: Float[Tensor, "m c"]) -> Float[Tensor, " m"]:
    """sum_c 10^c y_c in float32, by which the official code tells labels of mixtures apart."""
    powers = torch.tensor([10**c for c in range(shares.shape[1])], dtype=torch.float32, device=shares.device)
    return products(shares.float(), powers[None])[:, 0]
