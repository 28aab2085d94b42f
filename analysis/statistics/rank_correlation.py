"""Kendall's tau with an interval: whether one number puts things in the order of another."""

import math
from typing import NamedTuple

import scipy
from jaxtyping import Float
from numpy import ndarray

from analysis.statistics.seeds import ALPHA

FEWEST = 5


class Tau(NamedTuple):
    """tau-b of `n` pairs, -1 to 1, and its 95 % interval; NaN without order, the interval below 5 pairs."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"τ unknown, n = {self.n}"
        between = "" if math.isnan(self.low) else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"τ = {self.value:.2f}{between}, n = {self.n}".replace("-", "−")


def kendall(x: Float[ndarray, " n"], y: Float[ndarray, " n"]) -> Tau:
    """tau-b, and Fisher's z of it plus and minus 1.96 standard errors sqrt(0.437 / (n - 4)) (Fieller, Hartley and Pearson, 1957).

    z of a perfect order is infinite: there the interval is that of half a discordant pair, and reaches to the value.
    """
    n = len(x)
    value = float(scipy.stats.kendalltau(x, y).statistic) if n > 1 else math.nan
    if n < FEWEST or math.isnan(value):
        return Tau(value, math.nan, math.nan, n)
    most = 1 - 2 / (n * (n - 1))
    z, half = math.atanh(max(-most, min(value, most))), float(scipy.special.ndtri(1 - ALPHA / 2)) * math.sqrt(0.437 / (n - 4))
    return Tau(value, min(value, math.tanh(z - half)), max(value, math.tanh(z + half)), n)
