"""Minimal norms by projected gradient descent: bisection of the radius, sample by sample (METRICS 4).

Seven halvings of the range replace a curve of a hundred radii. What is found is an upper bound: the length of an example, which is
misclassified.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from analysis.robustness.barrier import Nearest
from analysis.robustness.proximal import length
from contrast.attacks import BATCH, Norm, pgd
from contrast.attacks.gradient import Loss, Network, require_pixels
from contrast.attacks.pgd import correct


def bisected(
    net: Network,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    start: Float[Tensor, "n c h w"] | None,
    norm: Norm,
    largest: float,
    steps: int = 20,
    bisections: int = 7,
    loss: Loss = "cross_entropy",
    batch: int = BATCH,
) -> Nearest:
    """The nearest examples that `pgd` finds of radii up to `largest`, each sample's own range being halved `bisections` times.

    `start` lies in the unit ball. Samples that are misclassified are at distance 0, those that the largest radius does not break at inf.
    """
    require_pixels(x)
    examples, distances = x.clone(), torch.zeros(len(x), dtype=x.dtype, device=x.device)
    rows = torch.nonzero(correct(net, x, y, batch))[:, 0]
    distances[rows] = torch.inf
    low, radius = torch.zeros(len(rows)).to(x), torch.full((len(rows),), largest).to(x)
    for _ in range(bisections + 1):
        noise = None if start is None else radius.view(-1, 1, 1, 1) * start[rows]
        attacked = pgd(net, x[rows], y[rows], radius, noise, norm, steps, 2.5, loss, batch)
        far = length((attacked.examples - x[rows]).flatten(1), norm)
        better = attacked.broken & (far < distances[rows])
        examples[rows[better]], distances[rows[better]] = attacked.examples[better], far[better]
        low = torch.where(attacked.broken, low, radius)
        left = distances[rows].isfinite()  # whom the largest radius did not break is not tried again
        rows, low = rows[left], low[left]
        radius = (low + distances[rows]) / 2
    return Nearest(examples, distances)
