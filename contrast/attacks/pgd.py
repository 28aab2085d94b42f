"""Projected gradient descent in the l_inf or l_2 ball (Madry et al., 2018; PROTOCOL 6.4).

Each sample has its own radius, so one batch can mix radii. Criterion: a sample that *any* iterate misclassifies is broken,
so accuracies are at most those of the last iterate. It keeps that iterate as its example and is computed no further, which
changes nothing for the others: those left are put together to full batches anew at every step. The start is drawn from the
sample's id, so batches, order and other samples do not change a result. `net` takes pixels in [0, 1], normalises inside,
and must be in eval mode.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from contrast.attacks.ball import Norm, column, project, steepest
from contrast.attacks.gradient import Loss, Network, loss_gradient, require_pixels, right

BATCH = 64

Starts = Callable[[Int64[Tensor, " m"], int], Float[Tensor, "m c h w"]]


class Attacked(NamedTuple):
    """Examples [n, c, h, w] inside ball and box, and which of them [n] the network misclassifies."""

    examples: Tensor
    broken: Tensor


def pgd(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    eps: Float[Tensor, " n"],
    start: Float[Tensor, "n c h w"] | None = None,
    norm: Norm = "linf",
    steps: int = 10,
    step_size: float = 2.5,
    loss: Loss = "cross_entropy",
    batch: int = BATCH,
) -> Attacked:
    """`steps` steps of length step_size * eps / steps from x + start, each projected on the ball and clipped to [0, 1].

    `start` lies in the ball of radius eps (see `start_noise`); None starts at x. All steps + 1 iterates are judged. Raises
    `UserError` unless x lies in [0, 1].
    """
    require_pixels(x)
    examples = (x if start is None else x + start).clamp(0, 1)
    broken = torch.ones(len(x), dtype=torch.bool, device=x.device)
    alive = torch.arange(len(x), device=x.device)
    for _ in range(steps):
        left = [alive[:0]]
        for part in evenly(alive, batch):
            here = examples[part]
            logits, gradient = loss_gradient(net, here, y[part], loss)
            keep = right(logits, y[part])
            part, here = part[keep], here[keep]
            moved = here + column(step_size * eps[part] / steps) * steepest(gradient[keep], norm)
            examples[part] = (x[part] + project(moved - x[part], eps[part], norm)).clamp(0, 1)
            left.append(part)
        alive = torch.cat(left)
    broken[alive] = ~correct(net, examples[alive], y[alive], batch)
    return Attacked(examples, broken)


def robust(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    eps: Float[Tensor, " e"],
    starts: Starts | None = None,
    norm: Norm = "linf",
    steps: int = 10,
    step_size: float = 2.5,
    loss: Loss = "cross_entropy",
    restarts: int = 1,
    batch: int = BATCH,
) -> Bool[Tensor, "e n"]:
    """Which samples stand at every radius of `eps` (increasing); `starts(rows, restart)` gives starts in the unit ball, None x itself.

    Monotone: a sample misclassified clean stands nowhere, and one broken at a radius is not tried at larger ones, whose
    balls hold the example found. So row e is decided by any iterate of any restart of any radius up to eps[e].
    """
    require_pixels(x)
    standing = torch.zeros(len(eps), len(x), dtype=torch.bool, device=x.device)
    alive = torch.nonzero(correct(net, x, y, batch))[:, 0]
    for e, radius in enumerate(eps.tolist()):
        for restart in range(restarts if radius > 0 else 0):
            reach = torch.full((len(alive),), radius, dtype=x.dtype, device=x.device)
            start = None if starts is None else radius * starts(alive, restart)
            alive = alive[~pgd(net, x[alive], y[alive], reach, start, norm, steps, step_size, loss, batch).broken]
        standing[e, alive] = True
    return standing


def correct(net: Network, x: Float[Tensor, "n c h w"], y: Int64[Tensor, " n"], batch: int = BATCH) -> Bool[Tensor, " n"]:
    """Which samples the network classifies as `y`."""
    with torch.no_grad():
        parts = [right(net(x[part]), y[part]) for part in evenly(torch.arange(len(x), device=x.device), batch)]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.bool, device=x.device)


def evenly(rows: Int64[Tensor, " n"], batch: int) -> tuple[Tensor, ...]:
    """`rows` in parts of nearly equal size, at most `batch`; none without rows."""
    return rows.tensor_split(-(-len(rows) // batch)) if len(rows) else ()
