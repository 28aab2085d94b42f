"""Proper scores: least, in expectation, for the true probabilities; so they judge calibration and sharpness together."""

from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from analysis.calibration.errors import by_class


class Brier(NamedTuple):
    """The Brier score, 0 to 2, and its parts: score = reliability - resolution + uncertainty."""

    score: float
    reliability: float
    resolution: float
    uncertainty: float


def nll(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"]) -> float:
    """Mean negative log-likelihood of the labels in nats."""
    return cross_entropy(outputs, labels).item()


def brier(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"], bins: int = 15) -> Brier:
    """Mean squared distance of the probabilities from the one-hot labels, decomposed class by class and summed (Murphy, 1973).

    `reliability`: squared distance of probability and share in bins of equal width, 0 when calibrated; `uncertainty`: the score of
    always saying the classes' shares; `resolution`: what was gained over that, the probabilities' spread within bins included, so
    that the three sum up exactly (Stephenson et al., 2008).
    """
    n = len(labels)
    score = (outputs.softmax(dim=1) - one_hot(labels, outputs.shape[1])).square().sum(dim=1).mean()
    found = by_class(outputs, labels, bins)
    squares = [((one.correct - one.confidence).square() / one.count.clamp(min=1)).sum() / n for one in found]
    shares = torch.stack([one.correct.sum() for one in found]) / n
    reliability, uncertainty = torch.stack(squares).sum(), (shares * (1 - shares)).sum()
    return Brier(score.item(), reliability.item(), (reliability + uncertainty - score).item(), uncertainty.item())
