"""The Square attack in l_inf: random search without gradients (Andriushchenko et al., 2020).

It starts from stripes of -eps and eps. Each query sets a random square of every image to -eps or eps a channel, and keeps it where the
label's lead shrinks; squares shrink on the schedule that AutoAttack has for 10,000 queries, scaled to `queries`. Draws are functions of
(seed, query, id), so batches and order change nothing.
"""

from math import sqrt

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from contrast.attacks import BATCH
from contrast.attacks.gradient import Network, lead, require_pixels, right
from contrast.attacks.pgd import evenly
from contrast.random import uniform

_SHARE = 0.8
_HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries


def square(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    eps: float,
    ids: Int[np.ndarray, " n"],
    queries: int = 500,
    seed: int = 0,
    batch: int = BATCH,
) -> Bool[Tensor, " n"]:
    """Which samples are misclassified as they are or by one of `queries` + 1 queries within `eps`, clipped to [0, 1]."""
    require_pixels(x)
    best = _leads(net, x, y, batch)
    alive, examples = torch.nonzero(best > 0)[:, 0], x.clone()
    for query in range(queries + 1):
        if len(alive) == 0:
            break
        tried = _stripes(x[alive], eps, ids[alive.cpu().numpy()], seed)
        if query > 0:
            tried = _squared(x[alive], examples[alive], eps, ids[alive.cpu().numpy()], seed, query, _share(query / queries))
        found = _leads(net, tried, y[alive], batch)
        better = (found < best[alive]) | (query == 0)
        best[alive[better]], examples[alive[better]] = found[better], tried[better]
        alive = alive[best[alive] > 0]
    return best <= 0


def _share(part: float) -> float:
    """Which part of the image a square covers after a `part` of the queries."""
    return _SHARE / 2.0 ** sum(10_000 * part > bound for bound in _HALVED_AT)


def _stripes(x: Tensor, eps: float, ids: np.ndarray, seed: int) -> Tensor:
    n, c, _, w = x.shape
    signs = torch.from_numpy(uniform(seed, "square", ids, c * w)).view(n, c, 1, w) < 0.5
    return (x + eps * (2 * signs.to(x) - 1)).clamp(0, 1)


def _squared(x: Tensor, here: Tensor, eps: float, ids: np.ndarray, seed: int, query: int, share: float) -> Tensor:
    n, c, h, w = x.shape
    draws = torch.from_numpy(uniform(seed, "square", ids, c + 2, epoch=query)).to(x.device)
    side = min(max(round(sqrt(share * h * w)), 1), h, w)
    top, left = (draws[:, :1] * (h - side + 1)).long(), (draws[:, 1:2] * (w - side + 1)).long()
    rows, columns = torch.arange(h, device=x.device), torch.arange(w, device=x.device)
    inside = ((rows >= top) & (rows < top + side))[:, None, :, None] & ((columns >= left) & (columns < left + side))[:, None, None]
    moved = (x + eps * (2 * (draws[:, 2:] < 0.5).to(x) - 1).view(n, c, 1, 1)).clamp(0, 1)
    return torch.where(inside, moved, here)


def _leads(net: Network, x: Tensor, y: Tensor, batch: int) -> Tensor:
    """The label's lead of every sample, above 0 where it is right (of equal logits the first counts); -inf where one is not finite."""
    leads = [x.new_zeros(0)]
    for part in evenly(torch.arange(len(x), device=x.device), batch):
        with torch.no_grad():
            logits = net(x[part])
        found = lead(logits, y[part]).nan_to_num(nan=-torch.inf, posinf=-torch.inf)
        leads.append(torch.where(right(logits, y[part]), found.clamp(min=torch.finfo(found.dtype).tiny), found.clamp(max=0)))
    return torch.cat(leads)
