"""What may be said from a few seeds: t intervals, paired differences, and how many seeds a question needs.

The independent unit is the pretraining seed: several tasks of one seed are averaged first (`over_tasks`), then the seeds
speak. Intervals are t intervals, since at n = 4 a percentile bootstrap covers 80 % and mean +- sd 82 % of the nominal 95.
Methods that share seeds are compared by the difference within each seed.
"""

import math
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import scipy  # its parts are loaded when they are first used; scipy.stats alone would take each command half a second
from jaxtyping import Float

from contrast.component import UserError

LEVEL = 0.95
ALPHA = 0.05
POWER = 0.8
_ROUNDING = 1e-12
_ENUMERABLE = 40  # the sign-flip test sorts 2^(n/2) half sums


Some = TypeVar("Some")


@dataclass(frozen=True)
class Interval:
    """A mean over `n` seeds with the half-width of its 95 % t interval, and the seeds' standard deviation (ddof 1).

    `half` and `sd` are None at n = 1. At n = 2 they exist, but the interval is 9 standard deviations wide on each side:
    `points_only` says that a picture shows the single seeds instead (METRICS 10, rule 1).
    """

    mean: float
    half: float | None
    n: int
    sd: float | None

    @property
    def points_only(self) -> bool:
        """Whether a picture shows the single seeds and no interval."""
        return self.n <= 2

    def scaled(self, factor: int | float) -> "Interval":
        """The same interval in another unit, such as `scaled(100)` for per cent; `factor` is above 0."""
        half = None if self.half is None else self.half * factor
        return Interval(self.mean * factor, half, self.n, None if self.sd is None else self.sd * factor)


@dataclass(frozen=True)
class Paired:
    """The mean difference of two methods over their `n` shared seeds, and what may be said of it (METRICS 10, rules 3-4).

    `half`: 95 % half-width. `p`: paired t test, two-sided. `dz`: mean / sd of the differences, None where all are equal.
    `sign_flip_p`: exact, over all 2^n signs; None above 40 seeds. `minimum_detectable`: the true difference that this n and
    sd find with 80 % power, in the unit of the values. At n = 1 only the mean is known, the rest is None.
    """

    mean: float
    half: float | None
    n: int
    p: float | None
    dz: float | None
    sign_flip_p: float | None
    minimum_detectable: float | None

    @property
    def check(self) -> str:
        """The sign-flip check in words; says so where n is too small for it to reject at all."""
        if self.sign_flip_p is None:
            return f"n = {self.n}: no sign-flip check"
        too_few = cannot_reject(self.n)
        return f"sign-flip p = {self.sign_flip_p:.3g}" + (f"; {too_few}" if too_few else "")


def interval(values: Sequence[int | float] | Float[np.ndarray, " n"]) -> Interval:
    """The 95 % t interval of the mean of one number per seed; raises `UserError` without values or on non-finite ones."""
    sample = _finite(values)
    mean, half = band(sample[:, None])
    n = len(sample)
    return Interval(float(mean[0]), float(half[0]) if n > 1 else None, n, float(sample.std(ddof=1)) if n > 1 else None)


def band(values: Float[np.ndarray, "n ..."]) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Mean and 95 % half-width over the first axis (seeds), pointwise along the others; the half-width is NaN at n = 1."""
    n = len(values)
    mean = values.mean(axis=0)
    if n == 1:
        return mean, np.full_like(mean, np.nan)
    return mean, _quantile(n) * values.std(axis=0, ddof=1) / math.sqrt(n)


def fraction_bounds(values: Float[np.ndarray, "n ..."]) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Lower and upper 95 % bound, in [0, 1], of the mean of fractions over the first axis (seeds, at least 2).

    The t interval; where it would leave [0, 1] it is taken on the logit scale and mapped back (METRICS 10, rule 1), and
    where a seed has exactly 0 or 1, which has no logit, it is cut at the bound.
    """
    mean, half = band(values)
    low, high = mean - half, mean + half
    inside = ((values > 0) & (values < 1)).all(axis=0)
    logits = np.where(inside, values, 0.5)
    centre, spread = band(np.log(logits) - np.log1p(-logits))
    leaves = inside & ((low < 0) | (high > 1))
    low = np.where(leaves, 1 / (1 + np.exp(spread - centre)), low)
    high = np.where(leaves, 1 / (1 + np.exp(-spread - centre)), high)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def distinct(made: Iterable[tuple[Hashable, Some]]) -> list[Some]:
    """Of pairs of what made a value and the value, the first value of each maker, in order.

    What does not depend on the seed is computed once for all of them; it is one draw, and counts once in an interval of seeds.
    """
    found: dict[Hashable, Some] = {}
    for by, value in made:
        found.setdefault(by, value)
    return list(found.values())


def over_tasks(tasks: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """The mean over tasks within each seed, for the seeds that have every task (METRICS 10, rule 2)."""
    shared = set.intersection(*(set(task) for task in tasks.values())) if tasks else set()
    return {seed: float(np.mean([task[seed] for task in tasks.values()])) for seed in sorted(shared)}


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Paired:
    """The difference `a - b` over the seeds that both have; raises `UserError` when they share none.

    Differences that are equal but for rounding, as accuracies of few images may be, say nothing of how they spread: then there is
    no interval and no p, as at n = 1, unless all are 0, where p is 1.
    """
    seeds = sorted(set(a) & set(b))
    if not seeds:
        raise UserError(f"seeds = {sorted(a)} and {sorted(b)}: must share a seed to be paired. Run both methods on the same seeds.")
    difference = _finite([a[seed] - b[seed] for seed in seeds])
    estimate = interval(difference)
    mean, sd, n = estimate.mean, estimate.sd, estimate.n
    if sd is None or sd <= _ROUNDING * max(abs(value) for of in (a, b) for value in of.values()):
        return Paired(mean, None, n, 1.0 if n > 1 and not difference.any() else None, None, _sign_flip(difference) if n > 1 else None, None)
    p = float(2 * scipy.special.stdtr(n - 1, -abs(mean) / sd * math.sqrt(n)))
    return Paired(mean, estimate.half, n, p, mean / sd, _sign_flip(difference), detectable(n) * sd)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjusted p-values of one declared family, in the order given (Holm, 1979)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    adjusted = np.empty_like(p)
    adjusted[order] = stepped
    return tuple(adjusted.tolist())


def cannot_reject(n: int) -> str:
    """Why the exact sign-flip test can never reject at 5 % with `n` seeds; empty where it can (n >= 6)."""
    smallest = 2.0 ** (1 - n)
    if smallest < ALPHA:
        return ""
    return f"with n = {n} it cannot go below {smallest:.3g}, so it can never reject at 5 % (needs n >= 6)"


def power(n: int, effect: float) -> float:
    """The chance that a two-sided paired t test at 5 % over `n` >= 2 seeds finds a difference of `effect` standard deviations.

    The normal power for a known spread, averaged over the spread's distribution (scipy's non-central t is NaN in its far
    tail); good to 1e-6.
    """
    nodes, weights = _legendre()
    spread = np.sqrt(2 * scipy.special.gammaincinv((n - 1) / 2, (1 + nodes) / 2) / (n - 1))
    shift, critical = effect * math.sqrt(n), _quantile(n) * spread
    return float(weights @ (scipy.special.ndtr(shift - critical) + scipy.special.ndtr(-critical - shift)) / 2)


@cache
def detectable(n: int) -> float:
    """The difference, in standard deviations of the differences, that `n` >= 2 seeds find with 80 % power."""
    return float(scipy.optimize.brentq(lambda effect: power(n, effect) - POWER, 0.0, 100.0))


def seeds_needed(effect: float, sd: float, most: int = 1000) -> int | None:
    """The fewest seeds that find a difference of `effect` with 80 % power when differences spread by `sd`; None above `most`."""
    if not (math.isfinite(effect) and effect != 0 and sd > 0):
        raise UserError(f"effect = {effect!r}, sd = {sd!r}: effect must not be 0 and sd be above 0. Take sd from a pilot of 3 seeds.")
    n = 2 + bisect_left(range(2, most + 1), True, key=lambda n: power(n, abs(effect) / sd) >= POWER)
    return n if n <= most else None


@cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(200)


def _quantile(n: int) -> float:
    return float(scipy.special.stdtrit(n - 1, (1 + LEVEL) / 2))


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or len(sample) == 0 or not np.isfinite(sample).all():
        raise UserError(f"values = {sample.tolist()}: must be one finite number per seed, at least one. Leave diverged seeds out.")
    return sample


def _sign_flip(difference: np.ndarray) -> float | None:
    """Two-sided p over all 2^n signs of the differences; half sums are sorted, so that 2^(n/2) numbers suffice."""
    n = len(difference)
    if n > _ENUMERABLE:
        return None
    left, right = _signed_sums(difference[: n // 2]), np.sort(_signed_sums(difference[n // 2 :]))
    least = abs(difference.sum()) - 1e-12 * np.abs(difference).sum()  # ties count, whatever their rounding
    if least <= 0:
        return 1.0
    above = len(right) - np.searchsorted(right, least - left, side="left")
    below = np.searchsorted(right, -least - left, side="right")
    return float((above.sum() + below.sum()) / 2.0**n)


def _signed_sums(values: np.ndarray) -> np.ndarray:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
