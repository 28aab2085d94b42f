"""Confidences in bins: how many, how sure, how often right. Every binned calibration error is a sum over these.

All in float64: in float32 a saturated softmax says 1 where the network did not.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor


@dataclass(frozen=True)
class Binned:
    """Sums over the samples of each bin: their number, their confidences, and how many were right; all float64."""

    count: Float64[Tensor, " m"]
    confidence: Float64[Tensor, " m"]
    correct: Float64[Tensor, " m"]

    @property
    def gap(self) -> Float64[Tensor, " m"]:
        """|accuracy - confidence| of each bin times its share of the samples; 0 where a bin is empty."""
        return (self.correct - self.confidence).abs() / self.count.sum()


def confidences(outputs: Float64[Tensor, "n c"], labels: Int64[Tensor, " n"]) -> tuple[Float64[Tensor, " n"], Bool[Tensor, " n"]]:
    """The largest probability of each row of logits, and whether its class is the row's; of equal logits the lower class."""
    highest, predicted = outputs.log_softmax(dim=1).max(dim=1)
    return highest.exp(), predicted == labels


def equal_width(confidence: Float64[Tensor, "*n"], bins: int) -> Int64[Tensor, "*n"]:
    """The bin of each confidence in [0, 1] among `bins` of equal width, closed on the right: (0, 1/M], (1/M, 2/M] ..; 0 is in the first."""
    return ((bins * confidence).ceil().long() - 1).clamp(0, bins - 1)


def equal_mass(confidence: Float64[Tensor, " n"], bins: int) -> Int64[Tensor, " n"]:
    """The bin of each confidence among `bins` that hold equally many samples; equal confidences stay together, closed on the right.

    So the bins do not depend on the order of the samples; where many are equal, bins may be empty.
    """
    ordered, n = confidence.sort().values, len(confidence)
    last = torch.tensor([-(-n * k // bins) - 1 for k in range(1, bins)], dtype=torch.long).clamp(min=0)
    return torch.searchsorted(ordered[last], confidence)


def binned(confidence: Float64[Tensor, " n"], correct: Bool[Tensor, " n"], place: Int64[Tensor, " n"], bins: int) -> Binned:
    """The sums over the samples of each bin, where sample i is in bin `place[i]`."""
    sums = (place.bincount(weights, minlength=bins) for weights in (torch.ones_like(confidence), confidence, correct.double()))
    return Binned(*sums)
