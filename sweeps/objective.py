"""What a search is judged by: a key's mean over tasks and seeds, or the bound of its interval; and who is better by that.

Matches of a pattern are averaged within a seed first, then the seeds speak (METRICS.md 10, rule 2). With several objectives
candidates are ranked by Pareto front, then by how lonely they are on it.
"""

import math
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

import numpy as np
from jaxtyping import Bool, Float

from analysis.statistics import Interval, distinct, interval
from contrast.component import UserError, require, require_types
from contrast.stage import Metrics

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Bound:
    """The pessimistic end of the two-sided 95 % t interval of `key` over seeds: lower when maximised, upper when minimised.

    A candidate that is good on average and bad at some seed is not best by it. It needs at least two seeds.
    """

    key: str

    def __post_init__(self) -> None:
        require_types(self)
        require(bool(self.key), self, "key", "must name a key", "Name one that the space returns, such as 'accuracy'.")


@dataclass(frozen=True)
class AtMost:
    """A constraint: the mean of `key` over seeds, matches averaged within a seed first, must not be above `limit`."""

    key: str
    limit: float

    def __post_init__(self) -> None:
        require_types(self)
        require(bool(self.key), self, "key", "must name a key", "Name one that the space returns, such as 'accuracy'.")
        require(math.isfinite(self.limit), self, "limit", "must be a finite number", "Leave the constraint out for none.")

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.key} at most {self.limit:g}"

    def violation(self, seeds: Sequence[Metrics]) -> float:
        """How far the mean over seeds is on the wrong side; 0 or below where the constraint is kept, infinite without a finite mean."""
        return _finite_or_worst(_mean(self.key, seeds) - self.limit)


@dataclass(frozen=True)
class AtLeast:
    """A constraint: the mean of `key` over seeds, matches averaged within a seed first, must not be below `limit`."""

    key: str
    limit: float

    def __post_init__(self) -> None:
        require_types(self)
        require(bool(self.key), self, "key", "must name a key", "Name one that the space returns, such as 'accuracy'.")
        require(math.isfinite(self.limit), self, "limit", "must be a finite number", "Leave the constraint out for none.")

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.key} at least {self.limit:g}"

    def violation(self, seeds: Sequence[Metrics]) -> float:
        """How far the mean over seeds is on the wrong side; 0 or below where the constraint is kept, infinite without a finite mean."""
        return _finite_or_worst(self.limit - _mean(self.key, seeds))


def check_constraints(constraints: Sequence[AtMost | AtLeast]) -> None:
    """Refuse a key that is bounded twice from one side, and bounds of one key that no value can keep."""
    above: dict[str, AtMost] = {}
    below: dict[str, AtLeast] = {}
    for one in constraints:
        side: dict[str, AtMost] | dict[str, AtLeast] = above if isinstance(one, AtMost) else below
        if one.key in side:
            raise UserError(f"Sweep.constraints: {one!r}: {side[one.key]!r} is there too. Leave out one of them.")
        side[one.key] = one  # type: ignore[assignment]
    for key, least in below.items():
        if key in above and least.limit > above[key].limit:
            raise UserError(f"Sweep.constraints: {least!r}: nothing keeps this and {above[key]!r}. Change one of the limits.")


def _finite_or_worst(violation: float) -> float:
    return violation if math.isfinite(violation) else math.inf


def _mean(pattern: str, seeds: Sequence[Metrics]) -> float:
    return sum(_average("constraint", pattern, metrics) for metrics in seeds) / len(seeds)


def _average(what: str, pattern: str, metrics: Metrics) -> float:
    """The mean over the metrics of one seed that a pattern matches; `UserError`, which names `what` asks for them, when there are none."""
    found = matches(pattern, metrics)
    if not found:
        keys = ", ".join(sorted(metrics))
        raise UserError(f"{what} = {pattern!r}: matches none of the keys {keys}. Name one of them, * for a segment.")
    return sum(metrics[key] for key in found) / len(found)


@dataclass(frozen=True)
class Objective:
    """One thing that is maximised or minimised: the mean of what `pattern` matches, or with `bound` the worse end of its interval."""

    pattern: str
    direction: Direction
    bound: bool = False

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{'lower' if self.sign > 0 else 'upper'} bound of {self.pattern}" if self.bound else self.pattern

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "maximize" else -1

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is strictly better than `b`."""
        return self.sign * a > self.sign * b

    def of_seed(self, metrics: Metrics) -> float:
        """The mean over the metrics of one seed that the pattern matches; `UserError` when there are none."""
        return _average("objective", self.pattern, metrics)

    def over_seeds(self, values: Sequence[float]) -> float:
        """What the search is told of these seeds, at least one. A bound is NaN below two seeds, or when a value is not finite."""
        if not self.bound:
            return sum(values) / len(values)
        half = interval(values).half if all(map(math.isfinite, values)) else None
        return math.nan if half is None else sum(values) / len(values) - self.sign * half

    def spread(self, made: Sequence[tuple[Hashable, float]]) -> Interval | None:
        """The mean over seeds, as it is judged, and the interval of what is not shared by several, for tables, of (maker, value) pairs.

        None without values, or when one is not finite.
        """
        values = [value for _, value in made]
        if not values or not all(map(math.isfinite, values)):
            return None
        return replace(interval(distinct(made)), mean=sum(values) / len(values))


def declared(direction: Direction, given: str | Bound | tuple[str | Bound, ...] | None) -> tuple[Objective, ...]:
    """The objectives that `maximize=` or `minimize=` states."""
    several = given if isinstance(given, tuple) else () if given is None else (given,)
    return tuple(Objective(one.key, direction, True) if isinstance(one, Bound) else Objective(one, direction) for one in several)


def matches(pattern: str, keys: Iterable[str]) -> list[str]:
    """The keys that a pattern names; `*` stands for one segment between slashes."""
    expression = re.compile("[^/]+".join(re.escape(part) for part in pattern.split("*")))
    return [key for key in keys if expression.fullmatch(key)]


def fronts(points: Sequence[Sequence[float]], objectives: Sequence[Objective]) -> list[list[int]]:
    """The places of `points` by non-dominated front, the best first, each in the order given.

    One point dominates another when it is nowhere worse and somewhere better. Two passes over all pairs, memory of one row.
    """
    good = np.array(points, dtype=float).reshape(len(points), len(objectives)) * [o.sign for o in objectives]
    above = np.array([_dominated(-good, -one).sum() for one in good])
    left, found = np.ones(len(good), dtype=bool), []
    while left.any():
        front = np.flatnonzero(left & (above == 0))
        found.append(front.tolist())
        left[front] = False
        for i in front:
            above -= _dominated(good, good[i])
    return found


def _dominated(good: Float[np.ndarray, "n k"], one: Float[np.ndarray, " k"]) -> Bool[np.ndarray, " n"]:
    """Which rows are nowhere better than `one` and somewhere worse."""
    return np.asarray(np.all(good <= one, axis=1) & np.any(good < one, axis=1))


def ranked(points: Sequence[Sequence[float]], objectives: Sequence[Objective]) -> list[int]:
    """The places of `points`, best first: by front, then crowding distance (Deb et al., 2002), then the order given."""
    if len(objectives) == 1:
        return sorted(range(len(points)), key=lambda i: (-objectives[0].sign * points[i][0], i))
    return [i for front in fronts(points, objectives) for i in _lonely_first(front, points)]


class Judged(Protocol):
    """What ranking asks of a candidate: its values, None unless it is complete; whether it keeps all constraints, and was raced out."""

    @property
    def values(self) -> Sequence[float] | None:
        """By objective."""

    @property
    def feasible(self) -> bool:
        """Whether it keeps all constraints."""

    @property
    def raced(self) -> bool:
        """Whether it was clearly behind on its first seeds and was spared the others."""


Some = TypeVar("Some", bound=Judged)


def best_first(candidates: Iterable[Some], objectives: Sequence[Objective]) -> list[Some]:
    """Those that have values and keep all constraints, best first, then those that were raced out; of equals the order given."""
    mine = _eligible(candidates)
    order = ranked([one.values or () for one in mine], objectives)
    # Who was behind on some seeds is not better for having been spared the others.
    return sorted((mine[i] for i in order), key=lambda one: one.raced)


def undominated(candidates: Iterable[Some], objectives: Sequence[Objective]) -> list[Some]:
    """Those that have values, keep all constraints and are dominated by no other such one, in the order given."""
    mine = _eligible(candidates)
    front = fronts([one.values or () for one in mine], objectives)
    return [mine[i] for i in front[0]] if front else []


def _eligible(candidates: Iterable[Some]) -> list[Some]:
    return [one for one in candidates if one.values is not None and one.feasible]


def _lonely_first(front: list[int], points: Sequence[Sequence[float]]) -> list[int]:
    """A front by crowding distance: the sum over objectives of the gap between a point's neighbours, in shares of the range."""
    distance = dict.fromkeys(front, 0.0)
    for axis in range(len(points[front[0]])):
        order = sorted(front, key=lambda i: points[i][axis])
        low, high = points[order[0]][axis], points[order[-1]][axis]
        for i in front:
            if points[i][axis] in (low, high):
                distance[i] = math.inf
        if high > low:
            for before, i, after in zip(order, order[1:-1], order[2:], strict=False):
                distance[i] += (points[after][axis] - points[before][axis]) / (high - low)
    return sorted(front, key=lambda i: (-distance[i], i))
