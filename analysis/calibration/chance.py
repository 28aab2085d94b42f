"""What chance alone does to a binned calibration error: its value for a perfectly calibrated network, and its standard error."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from analysis.calibration.bins import binned
from contrast.random import key, uniform

_CHUNK = 4096


class Null(NamedTuple):
    """Were the network calibrated: the mean of its ECE, and of each bin the 95 % of accuracies that it would show (NaN if empty)."""

    ece: float
    low: Float64[np.ndarray, " m"]
    high: Float64[np.ndarray, " m"]


def null(
    confidence: Float64[Tensor, " n"],
    place: Int64[Tensor, " n"],
    bins: int,
    ids: Int64[np.ndarray, " n"],
    draws: int = 200,
) -> Null:
    """Labels drawn anew `draws` times from the network's own probabilities, by sample id (Bröcker and Smith, 2007)."""
    correct = torch.zeros(bins, draws, dtype=torch.float64)
    for start in range(0, len(ids), _CHUNK):
        part = slice(start, start + _CHUNK)
        right = torch.from_numpy(uniform(0, "labels of a calibrated network", ids[part], draws)) < confidence[part, None]
        correct.index_add_(0, place[part], right.double())
    count = place.bincount(minlength=bins).double()[:, None]
    sure = place.bincount(confidence, minlength=bins)[:, None]
    accuracy = (correct / count).numpy()  # 0 / 0 is NaN
    low, high = np.quantile(accuracy, (0.025, 0.975), axis=1)
    return Null(((correct - sure).abs().sum(dim=0) / len(ids)).mean().item(), low, high)


def ece_standard_error(
    confidence: Float64[Tensor, " n"], correct: Bool[Tensor, " n"], place: Int64[Tensor, " n"], bins: int, draws: int = 2000
) -> float:
    """The standard deviation of the binned ECE over `draws` bootstrap samples of the samples.

    A bootstrap sample is known by how many fall on the right and on the wrong ones of each bin, which is multinomial; their
    confidences are then normal with the mean and the variance that they have there.
    """
    cells = binned(confidence, correct, 2 * place + correct.long(), 2 * bins)
    squares = (2 * place + correct.long()).bincount(confidence.square(), minlength=2 * bins)
    number = cells.count.clamp(min=1)
    mean = (cells.confidence / number).numpy()
    spread = (squares / number - (cells.confidence / number).square()).clamp(min=0).sqrt().numpy()
    generator = np.random.Generator(np.random.PCG64(key(0, "bootstrap over samples")))
    n = len(confidence)
    counts = generator.multinomial(n, (cells.count / n).numpy(), size=draws)
    sure = counts * mean + np.sqrt(counts) * spread * generator.standard_normal(counts.shape)
    gaps = sure[:, ::2] + sure[:, 1::2] - counts[:, 1::2]
    return float((np.abs(gaps).sum(axis=1) / n).std(ddof=1))
