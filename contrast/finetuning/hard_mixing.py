"""Features mixed from hard pairs of a batch, the synthetic samples of Core-tuning (Zhang et al., NeurIPS 2021; PROTOCOL 7.2)."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from contrast import random
from contrast.augmentations.draws import Draws
from contrast.augmentations.mix import beta
from contrast.losses.similarity import products, unit_views

LEAST_SHARE = 0.8  # of the other sample in a hard negative


class Mined(NamedTuple):
    """For every sample the positions [n] of its hardest positive and its hardest negative."""

    positive: Int[Tensor, " n"]
    negative: Int[Tensor, " n"]


class Mixed(NamedTuple):
    """Mixed features [n, d] and how much of each class is in them [n, c]."""

    features: Float[Tensor, "n d"]
    shares: Float[Tensor, "n c"]


def mined(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Mined:
    """The positive of lowest and the negative of highest cosine; a sample without a positive has itself. There must be two classes."""
    similar, same = _cosines(features), labels[:, None] == labels
    own = torch.arange(len(labels), device=labels.device)
    positive = same & (own[:, None] != own)
    hardest = similar.masked_fill(~positive, torch.inf).argmin(1)
    return Mined(torch.where(positive.any(1), hardest, own), similar.masked_fill(same, -torch.inf).argmax(1))


def mined_as_official(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Mined:
    """As the official code mines: the masked cosines are 0, not excluded, and position 0 stands for "none".

    Of features that are not negative, as behind a ReLU, nine in ten samples get themselves as their hardest positive, one in
    ten a sample of another class.
    """
    similar, same = _cosines(features), labels[:, None] == labels
    own = torch.arange(len(labels), device=labels.device)
    positive = (same & (own[:, None] != own)).to(similar.dtype)
    found = (similar * positive).argmin(1)
    return Mined(torch.where(found == 0, own, found), (similar * ~same).argmax(1))


def hard_positives(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: int, pairs: Mined, share: Tensor) -> Mixed:
    """share * hardest positive + (1 - share) * hardest negative; `share` [n, 1]."""
    shares = one_hot(labels, classes).to(features.dtype)
    return Mixed(
        share * features[pairs.positive] + (1 - share) * features[pairs.negative],
        share * shares[pairs.positive] + (1 - share) * shares[pairs.negative],
    )


def hard_negatives(features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: int, partner: Tensor, share: Tensor) -> Mixed:
    """(1 - share) * sample + share * its partner [n], `share` [n, 1] being raised to 0.8 where it is lower."""
    shares, share = one_hot(labels, classes).to(features.dtype), share.clamp(min=LEAST_SHARE)
    return Mixed((1 - share) * features + share * features[partner], (1 - share) * shares + share * shares[partner])


def partners(labels: Int[Tensor, " n"], draws: Draws) -> Int[Tensor, " n"]:
    """A random order of the batch; a sample may meet one of its class, or itself."""
    order = random.permutation(draws.seed, "partner", draws.ids, epoch=draws.epoch)
    return torch.from_numpy(order).to(labels.device)


def strict_partners(labels: Int[Tensor, " n"], draws: Draws) -> Int[Tensor, " n"]:
    """For every sample one of another class, all being as likely. There must be two classes."""
    other = labels[:, None] != labels
    lot = torch.from_numpy(draws.uniform("partner", 1)).to(labels.device)
    wanted = (lot * other.sum(1, keepdim=True)).floor().long() + 1
    return (other & (other.cumsum(1) == wanted)).to(torch.uint8).argmax(1)


def beta_shares(draws: Draws, purpose: str, alpha: float, like: Tensor) -> Float[Tensor, "n 1"]:
    """A Beta(alpha, alpha) variable for each sample, as `like` is."""
    return torch.from_numpy(np.asarray(beta(draws, purpose, alpha))).to(like)[:, None]


def _cosines(features: Tensor) -> Tensor:
    with torch.no_grad():
        z = unit_views(features[:, None])[:, 0]
        return products(z, z)
