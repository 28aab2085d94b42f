"""A network that learns, one that follows it slowly, and a queue of what the slow one made of earlier images."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from contrast import random
from contrast.augmentations.views import Views
from contrast.distributed import Processes
from contrast.loop import Place
from contrast.losses.info_nce import info_nce
from contrast.losses.similarity import unit_views
from contrast.model import Net


class MomentumPair(nn.Module):
    """`query`, which is trained, `key`, whose weights follow by a moving average, and `queue`, unit rows [K, d] of earlier keys.

    The next keys replace the oldest ones, which lie from row `position` on. All of it is in the state dict. The running statistics of
    a batch normalisation in `key` are its own, not those of `query`.
    """

    queue: Tensor
    position: Tensor

    def __init__(self, query: Net, queue: Float[Tensor, "k d"]) -> None:
        super().__init__()
        self.query = query
        self.key = copy.deepcopy(query).requires_grad_(False)
        self.register_buffer("queue", queue)
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    def follow(self, momentum: float) -> None:
        """Key weights become momentum * key + (1 - momentum) * query."""
        follow(self.key, self.query, momentum)

    @torch.no_grad()
    def enqueue(self, keys: Float[Tensor, "n d"]) -> None:
        """Put `keys` in the place of the oldest; K is a multiple of their number."""
        start = int(self.position)
        self.queue[start : start + len(keys)] = keys
        self.position.copy_((self.position + len(keys)) % len(self.queue))


@torch.no_grad()
def follow(key: nn.Module, query: nn.Module, momentum: float) -> None:
    """Weights of `key` become momentum * key + (1 - momentum) * query."""
    for slow, fast in zip(key.parameters(), query.parameters(), strict=True):
        slow.mul_(momentum).add_(fast, alpha=1 - momentum)


def random_queue(length: int, width: int, generator: torch.Generator) -> Float[Tensor, "k d"]:
    """Points drawn evenly from the unit sphere."""
    return normalize(torch.randn(length, width, generator=generator), dim=1)


@dataclass(frozen=True)
class MomentumStep:
    """One step of MoCo: queries of the first view find the keys of the second among those in the queue, which then takes the keys.

    With `shuffled` the keys are made in an order drawn for the step, so that groups of batch normalisations are of other images.
    """

    pair: MomentumPair
    views: Views
    temperature: float
    momentum: float
    shuffled: bool
    precision: torch.dtype
    device: torch.device
    processes: Processes
    penalty: None = None

    def rows(self, count: int) -> np.ndarray:
        """Which of a batch of `count` this process is to be given."""
        return np.arange(count)[self.processes.part(count)]

    def __call__(self, net: nn.Module, pixels: Tensor, labels: Tensor, ids: np.ndarray, at: Place) -> tuple[Tensor, Tensor]:
        """The loss of one batch, and no penalty; see `Step`. `net` is the pair's query network."""
        inputs, count = self.views(pixels.float() / 255, ids, at.seed, at.epoch), len(labels)
        queries = self.processes.gathered(self._embedded(net, inputs[:, 0]), count)
        self.pair.follow(self.momentum)
        keys = self._keys(inputs[:, 1], count, at)
        loss = info_nce(queries, keys, self.pair.queue.clone(), self.temperature)  # the backward pass reads it after `enqueue`
        self.pair.enqueue(keys)
        return loss, loss.new_zeros(())

    @torch.no_grad()
    def _keys(self, mine: Tensor, count: int, at: Place) -> Tensor:
        if not self.shuffled:
            return self.processes.gathered(self._embedded(self.pair.key, mine), count)
        lots = at.step * count + np.arange(count)
        order = torch.from_numpy(random.permutation(at.seed, "shuffle", lots, epoch=at.epoch)).to(self.device)
        shuffled = self.processes.gathered(mine, count)[order][self.processes.part(count)]
        keys = self.processes.gathered(self._embedded(self.pair.key, shuffled), count)
        return torch.empty_like(keys).index_copy_(0, order, keys)

    def _embedded(self, net: nn.Module, inputs: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
            output = net(inputs.contiguous(memory_format=torch.channels_last))
        return unit_views(output[:, None])[:, 0]
