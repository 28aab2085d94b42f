"""Mix-and-match tuning for images with one label: a triplet loss along the chains of classes in a batch (Zhan et al., 2018).

It was made for segmentation, where patches of many images are mixed in a batch and those of a class are matched as a connected graph.
Here, where PROTOCOL 7.4 leaves it open, an image is one patch and the batch is the mixture.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import require
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy, features_of, logits_of
from contrast.losses.distances import squared_distances
from contrast.losses.similarity import unit_views


@dataclass(frozen=True)
class MixAndMatch(TuningMethod):
    """CE + `weight` times a triplet loss of the features on the unit sphere; `weight` >= 0, `margin` >= 0.

    The images of a class, in the random order of the batch, are a chain. The positive of each is the one before it, of the first the
    one behind it; one that is alone is its own, as in the published code. The loss is the mean over images and over all negatives
    n, which have another class, of max(0, |z_i - z_p|^2 - |z_i - z_n|^2 + margin): that code draws one negative an image, whose
    expectation this is. A batch of a single class costs nothing. Squared distances are at most 4, and of features behind a ReLU 2:
    there no triplet is ever satisfied at the published margin of 2.1.
    """

    weight: float = 0.1
    margin: float = 2.1

    def __post_init__(self) -> None:
        require(0 <= self.weight < float("inf"), self, "weight", "must be 0 or above and finite", "0.1 and 1 are usual.")
        require(0 <= self.margin < float("inf"), self, "margin", "must be 0 or above and finite", "2.1 is the published one.")

    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """See `TuningMethod`."""
        features = features_of(tuned, batch)
        matched = chain_triplets(features, batch.labels, self.margin)
        return cross_entropy(logits_of(tuned, features), batch.labels) + self.weight * matched


def chain_triplets(features: Float[Tensor, "n d"], labels: Int[Tensor, "n"], margin: float) -> Float[Tensor, ""]:
    """The triplet loss of `MixAndMatch`."""
    z = unit_views(features[:, None])[:, 0]
    near = (z - z[neighbours(labels)]).square().sum(1)
    negative = labels[:, None] != labels
    costs = (near[:, None] - squared_distances(z, z) + margin).clamp_min(0)
    means = torch.where(negative, costs, 0).sum(1) / negative.sum(1).clamp_min(1)
    return means.mean()


def neighbours(labels: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """The place of the one before each in the chain of its class; of the first the next one's, and its own where it is alone."""
    places = torch.arange(len(labels), device=labels.device)
    same = labels[:, None] == labels
    before = torch.where(same.tril(-1), places, -1).amax(1)
    behind = torch.where(same.triu(1), places, len(labels)).amin(1)
    first = torch.where(behind < len(labels), behind, places)
    return torch.where(before >= 0, before, first)
