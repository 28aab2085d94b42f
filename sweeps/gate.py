"""When a label-free monitor may prune: once it has shown, on candidates that were not pruned, that it tells what comes of them.

RankMe, alignment and uniformity are not comparable across losses, temperatures or projectors, and may say nothing at all of
the labels. So the signal at a step of the schedule is compared with the final objective by Kendall's tau over the first 8
to 10 complete candidates of one loss family, and is used only while the one-sided lower 80 % bound of |tau| is above 0.3
(METRICS.md 7). The sign of tau says which way the signal points.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import scipy

from contrast.component import Component
from contrast.stage import Stage

FEWEST, MOST = 8, 10
LEAST, LEVEL = 0.3, 0.8


@dataclass(frozen=True)
class Gate:
    """What `n` candidates say of a signal: tau and the lower bound of |tau|, in -1 to 1; NaN below `FEWEST` or without order."""

    n: int
    tau: float
    bound: float

    @property
    def open(self) -> bool:
        """Whether the signal may prune."""
        return self.bound > LEAST

    def __str__(self) -> str:
        if self.n < FEWEST:
            return f"does not prune yet: {self.n} of {FEWEST} candidates are complete"
        verdict = "prunes" if self.open else "does not prune"
        return (
            f"{verdict}: tau = {self.tau:.2f} over {self.n} candidates, lower 80 % bound of |tau| {self.bound:.2f}, must be above {LEAST}"
        )


def gate(signal: Sequence[float], final: Sequence[float]) -> Gate:
    """The gate from signals and final objectives of complete candidates in order; the first `MOST` are used.

    Bound: Fisher's z of tau-b with standard error sqrt(0.437 / (n - 4)) (Fieller, Hartley and Pearson, 1957).
    """
    n = min(len(signal), MOST)
    if n < FEWEST:
        return Gate(n, math.nan, math.nan)
    tau = float(scipy.stats.kendalltau(signal[:n], final[:n]).statistic)
    z = math.atanh(min(abs(tau), 1 - 1e-12))
    return Gate(n, tau, math.tanh(z - float(scipy.special.ndtri(LEVEL)) * math.sqrt(0.437 / (n - 4))))


def family(stage: Stage) -> tuple[str, Component | None]:
    """What label-free signals compare inside: the class of the loss, and the projector; that of a stage without them is its class."""
    loss, head = getattr(stage, "loss", None), getattr(stage, "head", None)
    return type(loss if isinstance(loss, Component) else stage).__name__, head if isinstance(head, Component) else None
