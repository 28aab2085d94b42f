"""ProxLogBarrier: the least change of an image that is misclassified, in l_0, l_1, l_2 or l_inf (Pooladian et al., 2020; PROTOCOL 6.5).

min over u of m(u - x) - alpha log(gap(u)), where gap = max_{k != y} z_k - z_y is above 0 outside the label's region, by forward-backward
steps: up the gap, then the proximal operator of m around x, then the box [0, 1]. Other than in the published code the operators are the
exact ones, backtracking ends, and lengths have no unit: alpha is a share of the least distance found so far, the step that at which the
barrier balances the norm, alpha ||g||_* / |g|^2 with g the gradient of the gap, and where an operator would cross the boundary its
strength is halved, at most 30 times. So one setting serves all norms, sizes of image and networks.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from analysis.robustness.proximal import AnyNorm, dual, length, prox
from contrast.attacks import BATCH
from contrast.attacks.gradient import Network, lead, loss_gradient, require_pixels
from contrast.attacks.pgd import correct, evenly
from contrast.random import uniform

OUTER, INNER, SHARE, DECAY = 20, 20, 0.5, 0.75
_HALVINGS, _BISECTIONS = 30, 10
_TRIES, _LEAST, _GROWTH = 100, 0.01, 1.05
_TINY = 1e-30


class Nearest(NamedTuple):
    """Misclassified examples [n, c, h, w] in the box, and how far [n] each is: 0 from the start, inf where none was found."""

    examples: Tensor
    distances: Tensor


def prox_log_barrier(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    start: Float[Tensor, "n c h w"],
    norm: AnyNorm,
    outer: int = OUTER,
    inner: int = INNER,
    batch: int = BATCH,
) -> Nearest:
    """The nearest misclassified images of `outer` * `inner` steps from `start`, which is misclassified too (see `misclassified`).

    A sample that is misclassified itself is at distance 0; one whose start is not misclassified keeps x, at distance inf.
    """
    require_pixels(x)
    examples, distances = x.clone(), torch.zeros(len(x), dtype=x.dtype, device=x.device)
    right = torch.nonzero(correct(net, x, y, batch))[:, 0]
    distances[right] = torch.inf
    for part in evenly(right[~correct(net, start[right], y[right], batch)], batch):
        examples[part], distances[part] = _descend(net, x[part], y[part], start[part], norm, outer, inner)
    return Nearest(examples, distances)


def misclassified(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    ids: Int[np.ndarray, " n"],
    pool: Float[Tensor, "p c h w"],
    seed: int = 0,
    batch: int = BATCH,
) -> Float[Tensor, "n c h w"]:
    """Starts: x with uniform noise, of 0.01 and then 5 % more at a time, until the network errs, or else the nearest image of `pool`
    that it puts in another class. Noise is that of the id. x itself where it errs from the start, or on nothing.
    """
    start, alive = x.clone(), torch.nonzero(correct(net, x, y, batch))[:, 0]
    noise = torch.from_numpy(2 * uniform(seed, "nearest error", ids, x[0].numel()) - 1).to(x).view(x.shape)
    for k in range(_TRIES):
        start[alive] = (x[alive] + _LEAST * _GROWTH**k * noise[alive]).clamp(0, 1)
        alive = alive[correct(net, start[alive], y[alive], batch)]
        if len(alive) == 0:
            return start
    with torch.no_grad():
        classes = torch.cat([net(pool[part]).argmax(dim=1) for part in evenly(torch.arange(len(pool), device=x.device), batch)])
    far = torch.cdist(x[alive].flatten(1), pool.flatten(1)).masked_fill(y[alive, None] == classes, torch.inf)
    least, which = far.min(dim=1)
    start[alive] = torch.where(least.isfinite().view(-1, 1, 1, 1), pool[which], x[alive])
    return start


def _descend(net: Network, x: Tensor, y: Tensor, start: Tensor, norm: AnyNorm, outer: int, inner: int) -> tuple[Tensor, Tensor]:
    """The best examples and their distances, from starts that are all misclassified."""
    here = start if norm == "l0" else _to_boundary(net, x, y, start)  # few changes need to be large ones
    best, least = here, length((here - x).flatten(1), norm)
    for k in range(outer):
        for _ in range(inner):
            here = _step(net, x, y, here, least, norm, SHARE * DECAY**k)
            far = length((here - x).flatten(1), norm)
            best, least = torch.where((far < least).view(-1, 1, 1, 1), here, best), torch.minimum(far, least)
    return best, least


def _step(net: Network, x: Tensor, y: Tensor, here: Tensor, least: Tensor, norm: AnyNorm, share: float) -> Tensor:
    """One forward-backward step, `share` of the distance long, that stays misclassified."""
    logits, gradient = loss_gradient(net, here, y, "margin")
    gap, g, s = -lead(logits, y), gradient.flatten(1), (here - x).flatten(1)
    steepness, square = dual(g, norm).clamp(min=_TINY), g.square().sum(dim=1).clamp(min=_TINY)
    alpha = share * (length(s, "l1") if norm == "l0" else least)
    pushed = s + (alpha * (alpha * steepness / gap.clamp(min=_TINY)).clamp(max=1) * steepness / square)[:, None] * g
    moved, open_ = here.clone(), torch.arange(len(x), device=x.device)
    if norm == "l0":
        strength, least_strength = _strengths_of_counts(pushed, (s != 0).sum(dim=1), share)
        kept = (x + torch.where(s != 0, pushed, 0.0).view_as(x)).clamp(0, 1)
        moved = torch.where(correct(net, kept, y, len(x)).view(-1, 1, 1, 1), here, kept)
    else:
        strength, least_strength = alpha * steepness**2 / square, torch.zeros_like(alpha)
    for _ in range(_HALVINGS + 1):
        tried = (x[open_] + prox(pushed[open_], strength[open_].clamp(min=_TINY), norm).view(-1, *x.shape[1:])).clamp(0, 1)
        inside = correct(net, tried, y[open_], len(tried))
        moved[open_[~inside]] = tried[~inside]
        open_ = open_[inside & (strength[open_] > least_strength[open_])]
        if len(open_) == 0:
            break
        strength = torch.maximum(strength / 2, least_strength)
    return moved


def _strengths_of_counts(pushed: Float[Tensor, "n d"], count: Int64[Tensor, " n"], share: float) -> tuple[Tensor, Tensor]:
    """The strength of l_0 that leaves a `share` fewer than `count` changed numbers, one fewer at least, and that which leaves as many."""
    size = torch.nn.functional.pad(pushed.abs().sort(dim=1, descending=True).values, (0, 1))
    fewer = count - (share * count).ceil().clamp(min=1).long()
    first, last = (size.gather(1, kept[:, None])[:, 0].square() / 2 for kept in (fewer.clamp(min=0), count))
    return first, last


def _to_boundary(net: Network, x: Tensor, y: Tensor, start: Tensor) -> Tensor:
    """The misclassified point of the line from `start` to x that bisection finds nearest to x."""
    low, high = torch.zeros(len(x), dtype=x.dtype, device=x.device), torch.ones(len(x), dtype=x.dtype, device=x.device)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        inside = correct(net, x + middle.view(-1, 1, 1, 1) * (start - x), y, len(x))
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return torch.where((high < 1).view(-1, 1, 1, 1), x + high.view(-1, 1, 1, 1) * (start - x), start)
