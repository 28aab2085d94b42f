"""Noise of cameras: Gaussian, shot, impulse and speckle, each number of each pixel by itself."""

from functools import lru_cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from analysis.corruptions.draws import Draws, Table

_GAUSSIAN = {"cifar": (0.04, 0.06, 0.08, 0.09, 0.10), "imagenet": (0.08, 0.12, 0.18, 0.26, 0.38)}
_PHOTONS = {"cifar": (500, 250, 100, 75, 50), "imagenet": (60, 25, 12, 5, 3)}
_IMPULSE = {"cifar": (0.01, 0.02, 0.03, 0.05, 0.07), "imagenet": (0.03, 0.06, 0.09, 0.17, 0.27)}
_SPECKLE = {"cifar": (0.06, 0.1, 0.12, 0.16, 0.2), "imagenet": (0.15, 0.2, 0.35, 0.45, 0.6)}

Batch = Float[Tensor, "n c h w"]


def gaussian_noise(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """x + sigma N(0, 1)."""
    return x + _GAUSSIAN[table][severity - 1] * draws.normal("noise", *x.shape[1:]).to(x.device)


def shot_noise(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Poisson(x k) / k: white is k photons on average."""
    photons = _PHOTONS[table][severity - 1]
    distributions = _poisson(photons)
    # The rows of the table, each raised by its level, are one increasing sequence, in which one search finds all counts.
    steps = (distributions + torch.arange(256)[:, None]).flatten()
    levels = (x.cpu() * 255).round()
    found = torch.searchsorted(steps, draws.uniform("photons", *x.shape[1:]) + levels, right=True)
    counts = found - levels.long() * distributions.shape[1]
    return (counts / photons).to(x.device)


def impulse_noise(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """A share of the numbers is lost, half of them to 0 and half to 1."""
    share = _IMPULSE[table][severity - 1]
    u = draws.uniform("place", *x.shape[1:]).to(x.device)
    return x.masked_fill(u < share, 1.0).masked_fill(u < share / 2, 0.0)


def speckle_noise(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """x + x sigma N(0, 1)."""
    return x + x * _SPECKLE[table][severity - 1] * draws.normal("noise", *x.shape[1:]).to(x.device)


@lru_cache(maxsize=10)
def _poisson(photons: int) -> Float64[Tensor, "256 counts"]:
    """P(Poisson(k level / 255) <= count) for every level; what lies beyond the last count has a probability below 1e-15."""
    rates = photons * torch.arange(256, dtype=torch.float64)[:, None] / 255
    counts = torch.arange(int(photons + 9 * photons**0.5 + 20), dtype=torch.float64)
    below: Tensor = torch.special.gammaincc(counts + 1, rates)
    below[:, -1] = 1.0
    return below
