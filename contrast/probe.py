"""A logistic regression on features whose strength of regularisation is chosen off the score.

Features are centred and divided by one number, their root mean square deviation, so that one grid of l2 fits every encoder and no
direction is favoured. The l2 with the best accuracy on a stratified held-out tenth of the data (then the lower loss, then the stronger
l2) is fitted again on all of it (METRICS 8).
"""

from dataclasses import dataclass
from math import isfinite

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from contrast.component import Component, require
from contrast.logistic import fit_logistic

HALF_DECADES = tuple(10 ** (exponent / 2) for exponent in range(-12, 3))
_CHOICE = 1e-6  # tolerance of fits that are only compared: losses are right to 1e-12


@dataclass(frozen=True)
class Probe:
    """`weight` [C, d] and `bias` [C], float64, for features as they came; the chosen `l2`; how many fits did not converge."""

    weight: Float[Tensor, "c d"]
    bias: Float[Tensor, " c"]
    l2: float
    unconverged: int


def require_strengths(owner: Component, l2: tuple[float, ...]) -> None:
    """Raise `UserError` unless `l2`, which `owner` has, is one or more finite numbers above 0."""
    good = len(l2) > 0 and all(isfinite(strength) and strength > 0 for strength in l2)
    require(good, owner, "l2", "must be numbers above 0", "Name one or more strengths, such as 1e-4.")


def require_images(owner: Component, images: int, classes: int, strengths: int) -> None:
    """Raise `UserError` about `owner.data` where it has no image for every class, and no further one to choose of several strengths by."""
    least = classes + (strengths > 1)
    cure = "Use more images a class, or name one l2."
    require(images >= least, owner, "data", f"has fewer images ({images}) than {classes} classes and {strengths} l2 need ({least})", cure)


def require_every_class(owner: Component, labels: Int64[Tensor, " n"], classes: int) -> None:
    """Raise `UserError` about `owner.data` where a class has no image."""
    missing = torch.nonzero(torch.bincount(labels, minlength=classes) == 0)[:, 0].tolist()
    require(not missing, owner, "data", f"has no image of class {', '.join(map(str, missing))}", "Use more images or fewer classes.")


def fit_probe(x: Float[Tensor, "n d"], y: Int64[Tensor, " n"], l2: tuple[float, ...]) -> Probe:
    """The probe of features `x`; every class from 0 on must have a sample, and one of them two if there is an l2 to choose."""
    x = x.double()
    centre = x.mean(dim=0)
    scale = (x - centre).square().mean().sqrt().clamp(min=1e-12)
    scaled = (x - centre) / scale
    chosen, failed = choose_l2(scaled, y, l2) if len(l2) > 1 else (l2[0], 0)
    fit = fit_logistic([scaled], [y], [chosen])
    weight = fit.weight[0, 0] / scale
    return Probe(weight, fit.bias[0, 0] - weight @ centre, chosen, failed + int(not fit.converged.all()))


def choose_l2(x: Float[Tensor, "n d"], y: Int64[Tensor, " n"], grid: tuple[float, ...]) -> tuple[float, int]:
    """The l2 of `grid` whose fit on the rest is best on the held-out tenth, and how many fits did not converge."""
    held = held_out_tenth(y)
    strengths = sorted(set(grid), reverse=True)
    fits = fit_logistic([x[~held]], [y[~held]], strengths, tolerance=_CHOICE)
    scores = []
    for weight, bias in zip(fits.weight[0], fits.bias[0], strict=True):
        logits = x[held] @ weight.T + bias
        scores.append(((logits.argmax(dim=1) == y[held]).double().mean().item(), -cross_entropy(logits, y[held]).item()))
    return strengths[scores.index(max(scores))], int((~fits.converged).sum())


def held_out_tenth(y: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """The last tenth of every class by id order, at least one sample of each class that has two."""
    held = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    for label in y.unique():
        places = torch.nonzero(y == label)[:, 0]
        if len(places) > 1:
            held[places[-max(1, len(places) // 10) :]] = True
    return held
