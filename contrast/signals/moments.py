"""Count, sum and Gram matrix of features: all that a spectrum needs of them, in memory that does not grow with the samples."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

_BLOCK = 2048  # rows that are copied to float64 at a time


@dataclass(frozen=True)
class Moments:
    """n, the sum of the features and the sum of their outer products, in float64. Those of two batches add up to those of both."""

    count: int
    total: Float64[Tensor, " d"]
    gram: Float64[Tensor, "d d"]

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.total + other.total, self.gram + other.gram)

    @property
    def finite(self) -> bool:
        """Whether every feature was a finite number, and none too large to be squared."""
        return bool(self.gram.isfinite().all() & self.total.isfinite().all())

    @property
    def covariance(self) -> Float64[Tensor, "d d"]:
        """The covariance of the features, of divisor n."""
        mean = self.total / self.count
        return self.gram / self.count - mean.outer(mean)

    @property
    def rounding(self) -> float:
        """What the eigenvalues of the covariance may be wrong by: d times the rounding error of the largest mean square."""
        largest = float(self.gram.diagonal().max()) / self.count
        return len(self.gram) * torch.finfo(torch.float64).eps * largest


def moments(features: Float[Tensor, "n d"]) -> Moments:
    """The moments of a batch, or of all samples at once; blocks of rows are copied to float64, never all of them."""
    width = features.shape[1]
    total, gram = features.new_zeros(width, dtype=torch.float64), features.new_zeros(width, width, dtype=torch.float64)
    for block in features.split(_BLOCK):
        x = block.double()
        total += x.sum(dim=0)
        gram.addmm_(x.T, x)
    return Moments(len(features), total, gram)
