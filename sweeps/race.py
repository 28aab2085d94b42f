"""The paired race over seeds: after its pilots a candidate gets one further seed at a time, until it is clearly behind.

Before each further seed it is compared with the incumbent: the best complete candidate, with all its seeds and feasible,
among those of its arm whose results count for it (indices up to k - open). The difference is taken within each shared seed and averaged.
Its noise is pooled over the better half of the full candidates that count, from what is left after the mean of each
candidate and of each seed; poor candidates often vary more from seed to seed and would hide every difference. So one shared
seed is enough. A rank test could not stop anything before four (ORCHESTRATION.md 3a).

The bound is one-sided and takes into account that the incumbent is the best of many: it is the quantile of the difference
for a candidate that is equal to all it is compared with, so that over all its seeds such a one is stopped in at most
`LEVEL` of all cases. In searches recorded on Digits (`make bench-replication`) the race alone stopped no candidate that
would have won, at any level from 0.1 to 0.9; at 0.3 it spared 30 % of the epochs.

Everything follows from results that count and from the first seeds in order, never from timing. Where no full candidates
count yet, all seeds are given at once. A candidate that is stopped is complete, with the mean over the seeds it has.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import scipy
from jaxtyping import Float

from sweeps.candidate import Candidate
from sweeps.event import number
from sweeps.graph import Want

if TYPE_CHECKING:
    from sweeps.population import Population

LEVEL = 0.3
MOST = 16  # candidates of which noise is pooled
MANY = 64  # from here on numbers of candidates and degrees of freedom are rounded, so that a bound is worked out once for many


@dataclass(frozen=True)
class Rivals:
    """The candidates that count: how many are `complete`, how many of these have all seeds (`full`), and the `best` of those.

    `best` holds at most `MOST`, best first: what the search was told, and the value of each seed in order. Both have the
    sign by which more is better.
    """

    complete: int = 0
    full: int = 0
    best: tuple[tuple[float, tuple[float, ...]], ...] = ()

    def joined(self, told: float, values: tuple[float, ...], *, full: bool) -> "Rivals":
        """With one more complete candidate."""
        if not full:
            return Rivals(self.complete + 1, self.full, self.best)
        best = sorted((*self.best, (told, values)), key=lambda one: -one[0])[:MOST]  # stable: of equals the earlier one
        return Rivals(self.complete + 1, self.full + 1, tuple(best))

    def behind(self, values: tuple[float, ...], level: float) -> float | None:
        """By how much a candidate with these first values is behind the best one, if it clearly is; at least two are full."""
        pool = [seeds for _, seeds in self.best[: max(2, math.ceil(self.full / 2))]]
        noise, dof = pooled(np.array(pool))
        n, seeds = len(values), len(pool[0])
        difference = math.fsum(pool[0][:n]) / n - math.fsum(values) / n
        clear = noise > 0 and difference > noise * math.sqrt(2 / n) * bound(level, self.complete, n, seeds, dof)
        return difference if clear else None


class Race:
    """The race of one population; `ahead` holds what is wanted of seeds that are not given yet, for slots that would idle."""

    def __init__(self, population: "Population") -> None:
        self.population, self.sweep = population, population.sweep
        self.ahead: set[Want] = set()
        self._waiting: set[int] = set()
        self._rivals: list[list[Rivals]] = [[Rivals()] for _ in population.arms]  # of each arm, by how many candidates count

    def go_on(self, candidate: Candidate) -> None:
        """All seeds that a candidate has are complete, and there are more: give it the next one, or judge it by what it has."""
        rivals = self._counting_for(candidate)
        if rivals is None:
            self._waiting.add(candidate.number)
            return
        mine = candidate.of_phase("search")
        left = self.sweep.seeds[len(mine) :]
        if rivals.full < 2:  # nothing will be stopped
            self._give(candidate, left)
            return
        objective = self.sweep.objectives[0]
        values = tuple(objective.sign * objective.of_seed(replicate.metrics) for replicate in mine)
        looks = len(self.sweep.seeds) - len(self.population.first_seeds)
        comparable = all(map(math.isfinite, values)) and (len(values) > 1 or not objective.bound)
        difference = rivals.behind(values, LEVEL / looks) if comparable else None
        if difference is None:
            self._give(candidate, left[:1])
        else:
            reason = f"behind the best by {number(difference)} after {len(mine)} of {len(self.sweep.seeds)} seeds"
            self.population.judge.race_out(candidate, reason)

    def judged(self) -> None:
        """A candidate was judged: go on with those that waited for it."""
        for waiting in sorted(self._waiting):
            if waiting in self._waiting:
                self._waiting.discard(waiting)
                self.go_on(self.population.candidates[waiting])

    def run_ahead(self) -> bool:
        """Want one more seed of an open candidate, which may come to nothing; False when there is none."""
        open_ones = [(self._ahead_of(c), c) for c in self.population.open_ones() if c.of_phase(self.population.phase)]
        short = [(len(ahead), -len(c.of_phase("search")), c.number) for ahead, c in open_ones if len(ahead) < self._left(c)]
        if self.population.phase != "search" or not short:
            return False
        taken, _, chosen = min(short)
        candidate = self.population.candidates[chosen]
        seed = self.sweep.seeds[len(candidate.of_phase("search")) + taken]
        self.ahead.add((chosen, "search", seed))
        self.population.want_ahead(candidate, seed)
        return True

    def forget(self, candidate: Candidate) -> None:
        """Nothing more is wanted of a candidate's seeds that are not given yet."""
        self._waiting.discard(candidate.number)
        for who in self._ahead_of(candidate):
            self.ahead.discard(who)
            self.population.graph.release(who)

    def _give(self, candidate: Candidate, seeds: tuple[int, ...]) -> None:
        self.ahead -= {(candidate.number, "search", seed) for seed in seeds}
        self.population.add_seeds(candidate, seeds, "search")

    def _left(self, candidate: Candidate) -> int:
        return len(self.sweep.seeds) - len(candidate.of_phase("search"))

    def _ahead_of(self, candidate: Candidate) -> list[Want]:
        return [who for who in self.ahead if who[0] == candidate.number]

    def _counting_for(self, candidate: Candidate) -> Rivals | None:
        """The candidates that count for this one; None while not all of them are judged."""
        index, arm = divmod(candidate.number, len(self.population.arms))
        until, known = max(0, index - self.sweep.window + 1), self._rivals[arm]
        if self.population.judged(arm) < until:
            return None
        while len(known) <= until:
            known.append(self._joined(known[-1], self.population.candidates[(len(known) - 1) * len(self.population.arms) + arm]))
        return known[until]

    def _joined(self, rivals: Rivals, other: Candidate) -> Rivals:
        if other.values is None:
            return rivals
        objective = self.sweep.objectives[0]
        values = tuple(objective.sign * objective.of_seed(replicate.metrics) for replicate in other.of_phase("search"))
        full = len(values) == len(self.sweep.seeds) and other.feasible  # nobody is behind a candidate that may not win
        return rivals.joined(objective.sign * other.values[0], values, full=full)


def pooled(values: Float[np.ndarray, "candidates seeds"]) -> tuple[float, int]:
    """Standard deviation of one value after the means of its candidate and of its seed, and its degrees of freedom."""
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    dof = (values.shape[0] - 1) * (values.shape[1] - 1)
    return math.sqrt(float((rest**2).sum()) / dof), dof


def bound(level: float, rivals: int, n: int, seeds: int, dof: int) -> float:
    """`quantile` with large counts rounded to powers of two, in the direction that makes it larger."""
    return quantile(level, _rounded(rivals, up=True), n, seeds, _rounded(dof, up=False))


def _rounded(count: int, *, up: bool) -> int:
    """Large counts to the next power of two, in the direction that makes the bound larger."""
    if count <= MANY:
        return count
    return 1 << (math.ceil(math.log2(count)) if up else math.floor(math.log2(count)))


@cache
def quantile(level: float, rivals: int, n: int, seeds: int, dof: int) -> float:
    """The upper `level` quantile of (difference / noise) / sqrt(2 / n), where candidate and rivals are equal.

    The best of the rivals by its mean over `seeds` has over its first `n` the mean M + R: M is the largest of `rivals`
    normal means of variance 1 / seeds, R has variance 1/n - 1/seeds. The candidate adds 1/n, and the noise is estimated.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    shares, weights = (1 + nodes) / 2, weights / 2
    best = scipy.special.ndtri(shares ** (1 / rivals)) / math.sqrt(seeds)
    noise = np.sqrt(2 * scipy.special.gammaincinv(dof / 2, shares) / dof)
    spread = math.sqrt(2 / n - 1 / seeds)

    def beyond(bound: float) -> float:
        chances: Float[np.ndarray, "64 64"] = scipy.special.ndtr((best[:, None] - bound * math.sqrt(2 / n) * noise) / spread)
        return float(weights @ chances @ weights) - level

    return float(scipy.optimize.brentq(beyond, -10.0, 1e4))
