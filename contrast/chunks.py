"""Embedding a batch that does not fit in memory, chunk by chunk, with the gradient of the whole batch.

Gradient caching (Gao, Zhang, Han and Callan, 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"):
all chunks are embedded without gradient, the loss and its gradient at the embeddings are those of the whole batch, and then
each chunk is embedded again and given its part of that gradient. What the network remembers for its backward pass is never
more than one chunk's, at the price of a second forward pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from contrast.distributed import Processes
from contrast.norms import without_memory
from contrast.penalties.gradient_penalty import Squared

Embed = Callable[[int], tuple[Tensor, Tensor]]  # the number of a chunk -> its views, and its outputs that follow from these


@dataclass(frozen=True)
class Split:
    """How a batch of `count` images is embedded: in chunks of at most `chunk` (None: in one), each shared out among `processes`.

    Chunks are in the batch's order and differ by one image at most. None has a single image, so three in chunks of two are one.
    With `mixed` an image is embedded as its mixture with the one before it in the batch, which then has to be read as well.
    """

    count: int
    chunk: int | None
    processes: Processes
    mixed: bool = False

    @property
    def chunks(self) -> list[range]:
        """The rows of each chunk."""
        number = 1 if self.chunk is None else max(1, min(-(-self.count // self.chunk), self.count // 2))
        return [range(self.count)[Processes(i, number).part(self.count)] for i in range(number)]

    @property
    def mine(self) -> list[range]:
        """Those of each chunk that this process embeds."""
        return [rows[self.processes.part(len(rows))] for rows in self.chunks]

    @property
    def rows(self) -> np.ndarray:
        """All rows that this process embeds, int64."""
        return np.concatenate([np.asarray(rows, np.int64) for rows in self.mine])

    @property
    def read(self) -> list[np.ndarray]:
        """The rows of each chunk that this process has to be given, int64."""
        before = [(rows.start - 1) % self.count for rows in self.mine]
        lead = [[row] if self.mixed and len(rows) else [] for row, rows in zip(before, self.mine, strict=True)]
        return [np.asarray([*first, *rows], np.int64) for first, rows in zip(lead, self.mine, strict=True)]

    def parts(self, mine: Tensor) -> tuple[Tensor, ...]:
        """What this process has of each chunk, of what it has of the batch."""
        return torch.split(mine, [len(rows) for rows in self.mine])

    def gathered(self, mine: Tensor) -> Tensor:
        """The rows of all processes in the order of the batch, with gradient."""
        parts = [self.processes.gathered(part, len(rows)) for part, rows in zip(self.parts(mine), self.chunks, strict=True)]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


def embedded(embed: Embed, net: nn.Module, split: Split) -> Tensor:
    """The outputs of all chunks; going backward embeds each of them again. The gradient can be had once, to weights only."""
    return _Embedded.apply(embed, net, split, *_trained(net))  # type: ignore[no-any-return]


def squares(
    wanted: Callable[[Tensor], Sequence[Squared]], scale: Tensor | None, output: Tensor, embed: Embed, net: nn.Module, split: Split
) -> Tensor:
    """This process' share of sum_k c_k |scale d t_k / d views|^2, (c_k, t_k) being what is `wanted` of the outputs of the whole batch.

    `output` is that of `embedded`. With g_k = d t_k / d output, the gradient at the views of a chunk is J' g_k, J being the
    derivative of its outputs; so a chunk gives its share of the sum, how that depends on the weights at fixed g_k, and how it
    depends on g_k, which is 2 c_k J J' g_k. From there the second derivative of t_k leads to all outputs.
    """
    whole = split.gathered(output.detach()).requires_grad_()
    coefficients, totals = zip(*wanted(whole), strict=True)
    slopes = [torch.autograd.grad(total, whole, create_graph=True)[0] for total in totals]
    mine = [split.parts(slope.detach()[split.rows]) for slope in slopes]
    weights, value = _trained(net), output.new_zeros(())
    of_weights: list[Tensor | None] = [None] * len(weights)
    of_slopes: list[list[Tensor]] = [[] for _ in slopes]
    for i in range(len(split.chunks)):
        given = [parts[i].requires_grad_() for parts in mine]
        with without_memory(net):
            share, found = _chunk_squares(coefficients, scale, given, embed, i, weights)
        value = value + share
        for k in range(len(given)):
            of_slopes[k].append(_or_zeros(found[k], given[k]))
        of_weights = _added(of_weights, found[len(given) :])
    arrived = [split.gathered(torch.cat(parts)) for parts in of_slopes]
    curved = [k for k, slope in enumerate(slopes) if slope.requires_grad]
    back = torch.zeros_like(whole)
    if curved:
        (back,) = torch.autograd.grad([slopes[k] for k in curved], whole, [arrived[k] for k in curved])
    return _Known.apply(value, [back[split.rows], *of_weights], output, *weights)  # type: ignore[no-any-return]


def _chunk_squares(
    coefficients: Sequence[float], scale: Tensor | None, given: Sequence[Tensor], embed: Embed, i: int, weights: list[nn.Parameter]
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The share of chunk `i`, and its gradients at the slopes `given` to its outputs and at the weights."""
    with torch.enable_grad():
        views, output = embed(i)
        share = output.new_zeros(())
        for coefficient, slope in zip(coefficients, given, strict=True):
            (pixels,) = torch.autograd.grad(output, views, slope, create_graph=True)
            share = share + coefficient * (pixels if scale is None else pixels * scale).square().sum()
        found = torch.autograd.grad(share, [*given, *weights], allow_unused=True)
    return share.detach(), found


class _Embedded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embed: Embed, net: nn.Module, split: Split, *weights: nn.Parameter) -> Tensor:  # noqa: ANN401 (torch's)
        ctx.embed, ctx.net, ctx.split, ctx.weights = embed, net, split, list(weights)
        return torch.cat([embed(i)[1] for i in range(len(split.chunks))])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 (torch's)
        of_weights: list[Tensor | None] = [None] * len(ctx.weights)
        for i, part in enumerate(ctx.split.parts(gradient)):
            with without_memory(ctx.net), torch.enable_grad():
                _, output = ctx.embed(i)
                found = torch.autograd.grad(output, ctx.weights, part, allow_unused=True)
            of_weights = _added(of_weights, found)
        return None, None, None, *of_weights


class _Known(torch.autograd.Function):
    """A number whose gradient at each input is known."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor | None], *inputs: Tensor) -> Tensor:  # noqa: ANN401 (torch's)
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 (torch's)
        return None, None, *(None if known is None else known * gradient for known in ctx.gradients)


def _trained(net: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in net.parameters() if parameter.requires_grad]


def _added(one: Sequence[Tensor | None], other: Sequence[Tensor | None]) -> list[Tensor | None]:
    return [b if a is None else a if b is None else a + b for a, b in zip(one, other, strict=True)]


def _or_zeros(found: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if found is None else found
