"""Bi-tuning: contrast of projections among keys of all classes, and of features among them by the classifier (Zhong et al., 2020).

PROTOCOL 7.4. What the published code (Transfer-Learning-Library) adds to the paper is kept where it says so below.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrast import random
from contrast.component import UserError, require, require_count
from contrast.encoders.encoder import Encoder
from contrast.finetuning.class_queues import ClassQueues, soft_contrast
from contrast.finetuning.method import Batch, Tuned, TuningMethod, cross_entropy, features_of, logits_of
from contrast.heads.classifier import Classifier
from contrast.heads.head import Head
from contrast.heads.mlp_head import MLPHead
from contrast.heads.stage_heads import require_projection
from contrast.losses.loss import full_precision
from contrast.losses.similarity import products, unit_views
from contrast.losses.temperature import require_temperature
from contrast.model import Net
from contrast.momentum import follow, random_queue


@dataclass(frozen=True)
class BiTuning(TuningMethod):
    """CE of the first view + `weight` (>= 0) times two soft-target contrasts, in which an own key of the second view and `queue` (K,
    from 0 to 4096) earlier keys of its class are equally wanted, among the K earlier keys of every class (`soft_contrast`).

    One is of what `projector` makes of the features, on the unit sphere. The other is of the classifier's direction of the image's
    class, its weights with the bias, on the unit sphere, with features and a 1 behind them, on the sphere too; without bias there is
    no 1. Its own key is the first view itself, and the classifier learns nothing from it, only the encoder: both as published.
    There a batch has entered the queues of features before it is compared with them; here it enters both afterwards.

    Keys come from a copy of encoder and projector that follows at `momentum` (0 to 1) a step: 1 leaves it as it was, at 0 it is
    them. Its batch normalisations go by the batch. `temperature` is from 1e-4 to 1e6. Queues begin with random directions; K = 0
    is cross-entropy alone.
    """

    weight: float = 1.0
    queue: int = 40
    momentum: float = 0.999
    temperature: float = 0.07
    projector: Head = MLPHead(1)
    views: ClassVar[int] = 2

    def __post_init__(self) -> None:
        require(0 <= self.weight < float("inf"), self, "weight", "must be 0 or above and finite", "1 is usual.")
        require_count(self, "queue", 4096, "40 is usual.", least=0)
        require(0 <= self.momentum <= 1, self, "momentum", "must be from 0 to 1", "0.999 is usual.")
        require_temperature(self)
        require_projection(self, "projector", "Use MLPHead(1).")

    def check_parts(self, encoder: Encoder | None, head: Head) -> None:
        """The classifier must be linear."""
        if not isinstance(head, Classifier):
            raise UserError(f"{type(self).__name__}: takes the directions of a linear classifier, and {head!r} is none. Use Classifier().")

    def beside(self, net: Net, width: int, classes: int, seed: int) -> nn.Module:
        """The projector, the network of the keys and the queues."""
        projector = self.projector.build(width, classes, random.generator(seed, "projector"))
        with torch.no_grad():
            out = copy.deepcopy(projector).eval()(torch.zeros(2, width)).shape[1]
        sizes = {"projections": out, "features": directions(net).shape[1]}
        drawn = (random_queue(classes * self.queue, size, random.generator(seed, f"queue of {name}")) for name, size in sizes.items())
        return Keys(net, projector, *(ClassQueues(rows.unflatten(0, (classes, self.queue))) for rows in drawn))

    def __call__(self, tuned: Tuned, batch: Batch) -> Float[Tensor, ""]:
        """See `TuningMethod`."""
        keys = tuned.beside
        assert isinstance(keys, Keys)
        h = features_of(tuned, batch)
        z, extended, wanted = unit(keys.projector(h)), with_one(h, tuned.net), directions(tuned.net)[batch.labels]
        keys.follow(tuned.net, self.momentum)
        key_h, key_z = keys.of(batch.views[:, 1], tuned.net)
        by_projection = self._contrast((z * key_z).sum(1), z, keys.projections, batch.labels)
        by_class = self._contrast((extended * wanted).sum(1), wanted, keys.features, batch.labels)
        keys.projections.enqueue(key_z, batch.labels)
        keys.features.enqueue(key_h, batch.labels)
        return cross_entropy(logits_of(tuned, h), batch.labels) + self.weight * (by_projection + by_class)

    def _contrast(self, own: Tensor, rows: Tensor, queues: ClassQueues, labels: Tensor) -> Tensor:
        queued = products(rows, queues.keys.flatten(0, 1).clone()).unflatten(1, queues.keys.shape[:2])
        return soft_contrast(own, queued, labels, self.temperature)


class Keys(nn.Module):
    """What is beside the network: the `projector`, which is trained, a slow copy of both, and queues of its keys."""

    def __init__(self, net: Net, projector: nn.Module, projections: ClassQueues, features: ClassQueues) -> None:
        super().__init__()
        self.projector = projector
        self.slow_encoder = copy.deepcopy(net.encoder).requires_grad_(False)
        self.slow_projector = copy.deepcopy(projector).requires_grad_(False)
        self.projections = projections
        self.features = features

    def follow(self, net: Net, momentum: float) -> None:
        """The copies follow."""
        follow(self.slow_encoder, net.encoder, momentum)
        follow(self.slow_projector, self.projector, momentum)

    @torch.no_grad()
    def of(self, views: Float[Tensor, "n c h w"], net: Net) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n k"]]:
        """Keys of features, with a 1 behind them if the classifier has a bias, and of projections; unit rows."""
        inputs = (views.contiguous(memory_format=torch.channels_last) - net.mean) / net.std
        h = full_precision(self.slow_encoder(inputs))
        return with_one(h, net), unit(self.slow_projector(h))


def linear(net: Net) -> tuple[Tensor, Tensor | None]:
    """Weights and bias of the classifier."""
    assert isinstance(net.top, nn.Linear)
    return net.top.weight, net.top.bias


def with_one(h: Float[Tensor, "n d"], net: Net) -> Float[Tensor, "n k"]:
    """Features with the 1 that the classifier's bias is multiplied by, if it has one, at length 1."""
    _, bias = linear(net)
    return unit(h if bias is None else torch.cat([h, torch.ones_like(h[:, :1])], 1))


def directions(net: Net) -> Float[Tensor, "c k"]:
    """The classifier's weights of each class with its bias, if it has one, at length 1, as numbers that are not trained."""
    weight, bias = linear(net)
    return unit((weight if bias is None else torch.cat([weight, bias[:, None]], 1)).detach())


def unit(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The rows at length 1."""
    return unit_views(rows[:, None])[:, 0]
