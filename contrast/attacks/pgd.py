"""Projected gradient descent in the l_inf or l_2 ball (Madry et al., 2018; PROTOCOL 6.4).

Each sample has its own radius, so one batch can mix radii. A sample that any iterate misclassifies is broken: it keeps
that iterate as its example and leaves the batch (early compaction), which changes nothing for the others. The start is
drawn from the sample's id, so batches, order and other samples do not change a result. `net` takes pixels in [0, 1],
normalises inside, and must be in eval mode.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from contrast.attacks.ball import Norm, column, project, steepest
from contrast.attacks.gradient import Network, loss_gradient


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
) -> Attacked:
    """`steps` steps of length step_size * eps / steps from x + start, each projected on the ball and clipped to [0, 1].

    `start` lies in the ball of radius eps (see `start_noise`); None starts at x. All steps + 1 iterates are judged.
    """
    examples = (x if start is None else x + start).clamp(0, 1).clone()
    broken = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    alive = torch.arange(len(x), device=x.device)
    for _ in range(steps):
        logits, gradient = loss_gradient(net, examples[alive], y[alive])
        keep = logits.argmax(dim=1) == y[alive]
        broken[alive[~keep]] = True
        alive = alive[keep]
        if len(alive) == 0:
            return Attacked(examples, broken)
        length = column(step_size * eps[alive] / steps)
        moved = examples[alive] + length * steepest(gradient[keep], norm)
        examples[alive] = (x[alive] + project(moved - x[alive], eps[alive], norm)).clamp(0, 1)
    with torch.no_grad():
        broken[alive] = net(examples[alive]).argmax(dim=1) != y[alive]
    return Attacked(examples, broken)


def robust(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    eps: Float[Tensor, " e"],
    start: Float[Tensor, "n c h w"] | None = None,
    norm: Norm = "linf",
    steps: int = 10,
    step_size: float = 2.5,
    batch: int = 128,
) -> Bool[Tensor, "e n"]:
    """Which samples stand at every radius of `eps` (increasing), with `start` in the unit ball.

    Monotone: a sample misclassified clean stands nowhere, and one broken at a radius is not tried at larger ones, whose
    balls hold the example found. So row e is decided by any iterate of any radius up to eps[e].
    """
    standing = torch.zeros(len(eps), len(x), dtype=torch.bool, device=x.device)
    with torch.no_grad():
        clean = torch.cat([net(x[i : i + batch]).argmax(dim=1) for i in range(0, len(x), batch)]) == y
    alive = torch.nonzero(clean)[:, 0]
    for e, radius in enumerate(eps.tolist()):
        if radius > 0 and len(alive) > 0:
            left = []
            for part in alive.split(batch):
                noise = None if start is None else radius * start[part]
                reach = torch.full((len(part),), radius, dtype=x.dtype, device=x.device)
                left.append(part[~pgd(net, x[part], y[part], reach, noise, norm, steps, step_size).broken])
            alive = torch.cat(left)
        standing[e, alive] = True
    return standing
