"""What the contrastive losses share: embeddings on the unit sphere, and how much each view resembles all the others.

Legend: N images, V views of each, d width, M = N V views in all; row i V + v of a flattened batch is view v of image i.

The M x M matrix of similarities is never held: it is formed in blocks of rows, reduced, and formed again by the backward
pass. That costs one more matrix product and saves writing and reading the matrix several times, which is dearer.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from contrast.losses.loss import full_precision

_EPS = 1e-6  # a shorter embedding is divided by this, not by its length; _EPS**-5, which double backward forms, fits in float32
_BLOCK = 1 << 20  # similarities in a block: 4 MB of float32, which stay in the processor's cache


def unit_views(output: Float[Tensor, "n v d"]) -> Float[Tensor, "n v d"]:
    """z / max(|z|, 1e-6) in full precision; first and second derivatives are finite everywhere, at z = 0 too."""
    z = full_precision(output)
    return z * z.square().sum(-1, keepdim=True).clamp_min(_EPS**2).rsqrt()


def log_partition(z: Float[Tensor, "m d"], temperature: float, classes: Int[Tensor, "m"] | None = None) -> Float[Tensor, "m"]:
    """logsumexp over j of z_i . z_j / temperature for every row i: j runs over the other rows, of its class if `classes` is given.

    A row that has no such j gets the most negative finite number. Twice differentiable in z.
    """
    partition: Tensor = _LogPartition.apply(z, temperature, classes)
    return partition


def with_self(partition: Float[Tensor, "m"], z: Float[Tensor, "m d"], temperature: float) -> Float[Tensor, "m"]:
    """`partition` of `log_partition` with the row itself, z_i . z_i / temperature, among the j."""
    return torch.stack((partition, z.square().sum(-1) / temperature)).logsumexp(0)  # the second derivative of logaddexp overflows


def products(rows: Float[Tensor, "r d"], others: Float[Tensor, "m d"]) -> Float[Tensor, "r m"]:
    """rows others^T in the precision that they have, whatever autocast would make of it."""
    with torch.autocast(rows.device.type, enabled=False):
        return rows @ others.T


def by_rows(reduce: Callable[[Tensor, Tensor, slice], Tensor], rows: Float[Tensor, "r d"], others: Float[Tensor, "m d"]) -> Tensor:
    """`reduce(rows[part], others, part)` for parts of the rows, one below the other, as many times differentiable as `reduce` is.

    What a part forms, such as its similarities to all others, is thrown away and formed again by the backward pass.
    """
    height = max(1, _BLOCK // len(others))
    parts = [slice(start, start + height) for start in range(0, len(rows), height)]
    return torch.cat([checkpoint(reduce, rows[part], others, part, use_reentrant=False, preserve_rng_state=False) for part in parts])


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, temperature: float, classes: Tensor | None) -> Tensor:
        partition = torch.cat([similarities.logsumexp(1) for _, similarities in _blocks(z, temperature, classes)])
        return partition.clamp_min(torch.finfo(z.dtype).min)  # a finite number to subtract, where a row has nothing to sum

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, Tensor | None], output: Tensor) -> None:  # noqa: ANN401 (torch's)
        z, ctx.temperature, classes = inputs
        ctx.save_for_backward(z, classes, output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 (torch's)
        z, classes, partition = ctx.saved_tensors
        parts = []
        for rows, similarities in _blocks(z, ctx.temperature, classes):
            # z_i stands in its own row and, the matrix being symmetric, in every other row too.
            pull = (similarities - partition[rows, None]).exp() * gradient[rows, None] + (similarities - partition).exp() * gradient
            with torch.autocast(z.device.type, enabled=False):
                parts.append(pull @ z / ctx.temperature)
        return torch.cat(parts), None, None


def _blocks(z: Tensor, temperature: float, classes: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows of z z^T / temperature; entries that do not count hold -inf, whose softmax is 0."""
    height = max(1, _BLOCK // len(z))
    for start in range(0, len(z), height):
        rows = slice(start, start + height)
        with torch.autocast(z.device.type, enabled=False):
            similarities = (z[rows] / temperature) @ z.T
        with torch.no_grad():  # a softmax of 0 has no gradient either: autograd need not know of the mask
            similarities.diagonal(start).fill_(-torch.inf)
            if classes is not None:
                similarities.masked_fill_(classes[rows, None] != classes, -torch.inf)
        yield rows, similarities
