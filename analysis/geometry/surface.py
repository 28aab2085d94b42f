"""Evaluating one network at many points of a plane in weight space.

The network is copied and folded once, laid out channels-last, and its samples, normalised once, are cut into micro-batches
that stay in the cache. A point overwrites the copy's weights with w + a u + b v and runs the batches; nothing accumulates
from point to point, so their order does not matter and the centre is exact.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import inf, isinf
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.nn.functional import cross_entropy

from analysis.folding import fold
from contrast.model import Net

_BATCH = {"cpu": 64}
_BATCH_ELSEWHERE = 1024

Direction = dict[str, Tensor]
Criterion = Callable[[Tensor, Tensor], Tensor]
CROSS_ENTROPY = partial(cross_entropy, reduction="sum")


class Plane:
    """Mean loss at w + a u + b v on fixed pixels [N, C, H, W] and targets [N], the labels of cross-entropy.

    `u` and `v` give a direction for parameters of `net` by name, None none; `net` is not touched. Weights are added up as they
    are stored and then rounded to `precision`, in which the network computes. `criterion` maps float64 logits and targets to
    the *sum* of the samples' losses, none of them negative.
    """

    def __init__(
        self,
        net: Net,
        u: Direction,
        v: Direction | None,
        pixels: Float[Tensor, "n c h w"],
        targets: Shaped[Tensor, " n"],
        precision: torch.dtype = torch.float32,
        criterion: Criterion = CROSS_ENTROPY,
    ) -> None:
        folded, factors = fold(net, pixels[:2])
        assert isinstance(folded, Net)
        self.net = folded.to(memory_format=torch.channels_last)
        pair = (u, v or {name: torch.zeros_like(part) for name, part in u.items()})
        self.moving = [
            _Moving(weight, weight.detach().clone(), *(_laid_out(d[name], factors.get(name), weight) for d in pair))
            for name, weight in self.net.named_parameters()
            if name in u and any(d[name].any() for d in pair)
        ]
        self.net.to(precision)
        self.x = ((pixels - net.mean) / net.std).to(dtype=precision, memory_format=torch.channels_last)
        self.batch = _BATCH.get(self.x.device.type, _BATCH_ELSEWHERE)
        self.criterion, self.samples, self.targets = criterion, len(self.x), targets
        self.batches = list(zip(self.x.split(self.batch), targets.split(self.batch), strict=True))

    @torch.inference_mode()
    def logits(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Float64 logits of normalised images at the point visited last, at first the centre."""
        out: Tensor = self.net.top(self.net.encoder(x))
        return out.double()

    @torch.inference_mode()
    def outputs(self, a: float, b: float) -> Float[Tensor, "n k"]:
        """Float64 logits of all samples at (a, b)."""
        self._visit(a, b)
        return torch.cat([self.logits(x) for x, _ in self.batches])

    @torch.inference_mode()
    def loss(self, a: float, b: float, ceiling: float = inf, hard: Int64[Tensor, " n"] | None = None) -> float:
        """The loss at (a, b); infinite as soon as the samples so far prove that it lies above `ceiling`.

        `hard` are the samples in an order that may bring the proof sooner, for a point that probably lies above. One that does not
        is measured again in the samples' own order, since logits depend in the last digits on a sample's place in a batch.
        """
        self._visit(a, b)
        if hard is not None and isinf(self._sum(self._in_order(hard.to(self.x.device)), ceiling)):
            return inf
        return self._sum(self.batches, ceiling) / self.samples

    def mean(self, outputs: Float[Tensor, "n k"]) -> float:
        """The loss of the logits of all samples."""
        parts = zip(outputs.split(self.batch), self.targets.split(self.batch), strict=True)
        return sum(self.criterion(z, y).item() for z, y in parts) / self.samples

    def _sum(self, batches: Iterable[tuple[Tensor, Tensor]], ceiling: float) -> float:
        total = 0.0
        for x, y in batches:
            total += self.criterion(self.logits(x), y).item()
            if total > ceiling * self.samples:
                return inf
        return total

    def _visit(self, a: float, b: float) -> None:
        for part in self.moving:
            part.weight.copy_(part.centre.add(part.u, alpha=a).add_(part.v, alpha=b))

    def _in_order(self, order: Int64[Tensor, " n"]) -> Iterator[tuple[Tensor, Tensor]]:
        for some in order.split(max(1, self.batch // 2)):  # the proof is not often at the end of a whole batch
            yield self.x[some].contiguous(memory_format=torch.channels_last), self.targets[some]


class _Moving(NamedTuple):
    """A weight of the copy, its value at the centre and its two directions, in one memory layout."""

    weight: Tensor
    centre: Tensor
    u: Tensor
    v: Tensor


def _laid_out(direction: Tensor, factor: Tensor | None, weight: Tensor) -> Tensor:
    """The direction of the folded weight, in the weight's memory layout."""
    if factor is not None:
        direction = direction * factor.view(-1, *[1] * (direction.dim() - 1))
    return torch.empty_like(weight, requires_grad=False).copy_(direction)
