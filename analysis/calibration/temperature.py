"""Temperature scaling: logits divided by one number, which changes no prediction and mends most of a network's overconfidence.

What is left after it is not the length of the logits, which for a probe follows from its weight decay (Guo et al., 2017).
"""

import math

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

COLDEST, HOTTEST = 1e-3, 1e3
_STEPS = 200


def temperature(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"]) -> float:
    """The temperature T by which logits `outputs / T` have the least mean negative log-likelihood of `labels`, from 0.001 to 1000.

    The loss is convex in 1/T: Newton's method, kept inside a shrinking bracket. At a bound there is no optimum: 0.001 where every
    label has the largest logit, 1000 where guessing is as good as the logits. NaN without samples, or where a logit is not finite.
    """
    if not (len(labels) and outputs.isfinite().all()):
        return math.nan
    low, high = 1 / HOTTEST, 1 / COLDEST
    others = outputs.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    if (outputs.gather(1, labels[:, None])[:, 0] > others).all():  # also where probabilities are 1 at every temperature
        return COLDEST
    if _slope(outputs, labels, low)[0] >= 0:
        return HOTTEST
    if _slope(outputs, labels, high)[0] <= 0:
        return COLDEST
    inverse = 1.0
    for _ in range(_STEPS):
        slope, curvature = _slope(outputs, labels, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / curvature if curvature > 0 else 0.0
        following = step if low < step < high else (low * high) ** 0.5
        if abs(following - inverse) <= 1e-12 * inverse:
            break
        inverse = following
    return 1 / inverse


def cross_fitted(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"]) -> tuple[Float64[Tensor, "n c"], float]:
    """Logits of two stratified halves, each over the temperature of the other, and the geometric mean of both temperatures.

    So no sample is scaled by what it helped to fit. A class's samples go to the halves by turns, in the order given. All NaN where
    every label of a half has the largest logit: its temperature would be 0, and infinitely sure of the other's errors.
    """
    first = _halves(labels)
    one, other = temperature(outputs[first], labels[first]), temperature(outputs[~first], labels[~first])
    if COLDEST in (one, other):
        return torch.full_like(outputs, math.nan), math.nan
    scaled = torch.where(first[:, None], outputs / other, outputs / one)
    return scaled, (one * other) ** 0.5


def _halves(labels: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
    first = torch.empty(len(labels), dtype=torch.bool)
    first[labels.argsort(stable=True)] = torch.arange(len(labels)) % 2 == 0
    return first


def _slope(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"], inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean negative log-likelihood in 1/T."""
    probabilities = (inverse * outputs).softmax(dim=1)
    mean = (probabilities * outputs).sum(dim=1)
    variance = (probabilities * (outputs - mean[:, None]).square()).sum(dim=1)
    return (mean - outputs.gather(1, labels[:, None])[:, 0]).mean().item(), variance.mean().item()
