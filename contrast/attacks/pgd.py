"""Projected gradient descent in the l_inf or l_2 ball (Madry et al., 2018; PROTOCOL 6.4).

Each sample has its own radius, so one batch can mix radii. A sample that any iterate misclassifies is broken: it keeps
that iterate as its example and leaves the batch (early compaction), which changes nothing for the others. The start is
drawn from the sample's id, so batches, order and other samples do not change a result. `net` takes pixels in [0, 1],
normalises inside, and must be in eval mode.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from contrast.attacks.gradient import Network, loss_gradient
from contrast.random import uniform

Norm = Literal["linf", "l2"]


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
        length = _column(step_size * eps[alive] / steps)
        moved = examples[alive] + length * _steepest(gradient[keep], norm)
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


def project(delta: Float[Tensor, "n c h w"], eps: Float[Tensor, " n"], norm: Norm) -> Float[Tensor, "n c h w"]:
    """The nearest point to `delta` in the ball of radius eps around 0, sample by sample."""
    if norm == "linf":
        return torch.minimum(torch.maximum(delta, -_column(eps)), _column(eps))
    return delta * _column((eps / _length(delta)).clamp(max=1))


def start_noise(ids: np.ndarray, shape: tuple[int, int, int], norm: Norm, seed: int) -> Float[Tensor, "n c h w"]:
    """Float32 noise uniform in the unit ball of `norm`, row i a function of (seed, ids[i]) alone; times eps it is a start."""
    size = int(np.prod(shape))
    draws = torch.from_numpy(uniform(seed, "pgd", ids, size + 1))
    if norm == "linf":
        noise = 2 * draws[:, :size] - 1
    else:
        # A Gaussian's direction is uniform on the sphere; u^(1/D) spreads the radius evenly over the ball's volume.
        normal = torch.special.ndtri(draws[:, :size] + 2.0**-54)
        noise = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True) * draws[:, size:] ** (1 / size)
    return noise.float().view(len(ids), *shape)


def _steepest(gradient: Tensor, norm: Norm) -> Tensor:
    return gradient.sign() if norm == "linf" else gradient / _column(_length(gradient))


def _length(delta: Tensor) -> Tensor:
    """l_2 lengths [n], never 0, so that a saturated sample's zero gradient gives a zero step."""
    lengths: Tensor = torch.linalg.vector_norm(delta.flatten(1), dim=1)
    return lengths.clamp(min=1e-12)


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
