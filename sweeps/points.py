"""Metrics as MLflow keeps them: a key, a value, a time and a step; and which of them a run has room for."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from analysis.measure import Measure
from analysis.statistics import interval
from sweeps.fingerprint import monitored
from sweeps.standing import Begun, Result, Standing

MOST_KEYS = 40
CURVES = 16  # of them, in a replicate's run; the others are results


class Point(NamedTuple):
    """One value of a metric; `timestamp` in milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


Columns = dict[str, list[Point]]


class Fitted(NamedTuple):
    """What a run shows of its columns: finite points of the keys it has room for, tags about the others, the columns left out."""

    points: tuple[Point, ...]
    tags: dict[str, str]
    left_out: Columns


def fitted(*groups: tuple[Columns, int]) -> Fitted:
    """Of each group the first columns that it has room for, empty ones counted, so that what is shown once is shown always.

    Of a column with values that are not finite, a tag says which and where.
    """
    shown = [column for columns, room in groups for column in list(columns.values())[:room]]
    left_out = {key: column for columns, room in groups for key, column in list(columns.items())[room:] if column}
    tags: dict[str, str] = {}
    for columns, _ in groups:
        for key, column in columns.items():
            bad = next((point for point in column if not math.isfinite(point.value)), None)
            if bad is not None:
                tags[f"nonfinite.{key}"] = f"{bad.value} at step {bad.step}"
    if left_out:
        tags["left_out"] = f"{len(left_out)} metrics stand in results.json only"
    return Fitted(tuple(point for column in shown for point in column if math.isfinite(point.value)), tags, left_out)


def single(results: Mapping[str, Result], names: Iterable[str]) -> Columns:
    """One point for each named result."""
    return {name: [Point(name, results[name].value, results[name].began, 0)] for name in names}


def curves(one: Standing) -> tuple[Columns, Columns]:
    """The metrics of every training by epoch: of each as many as there is room for, and the others.

    A monitor is called by its key; what monitors of other sweeps read is left out. Measures in parts have no curves.
    """
    trainings = [stage for stage in one.names if stage.length > 0 and not isinstance(stage, Measure)]
    shown = {monitored(identity): f"monitor/{key}" for key, identity in one.replicate.fingerprints.items()}
    room = max(1, CURVES // max(1, len(trainings)))
    first: Columns = {}
    others: Columns = {}
    for stage in trainings:
        columns = _by_epoch(one.names[stage], one.begun[stage], shown) if stage in one.begun else {}
        for i, (key, column) in enumerate(columns.items()):
            (first if i < room else others)[key] = column
    return first, others


def _by_epoch(name: str, begun: Begun, monitors: Mapping[str, str]) -> Columns:
    columns: Columns = {}
    for epoch, metrics in enumerate(begun.curve, 1):
        for metric, value in metrics.items():
            if metric != "epoch" and (metric in monitors or not metric.startswith("monitor/")):
                key = f"{name}/{monitors.get(metric, metric)}"
                columns.setdefault(key, []).append(Point(key, value, begun.began + epoch, epoch))
    return columns


def over_seeds(key: str, seeds: Sequence[Result]) -> tuple[Columns, Columns, Columns]:
    """Mean, half-width of the 95 % t interval (`key/half`) and standard deviation (`key/sd`) of the first n seeds at step n.

    Up to the first seed whose value is not finite, which stands as the mean's value there.
    """
    means, halves, spreads = [], [], []
    for n in range(1, len(seeds) + 1):
        began = max(seed.began for seed in seeds[:n])
        if not math.isfinite(seeds[n - 1].value):
            means.append(Point(key, seeds[n - 1].value, began, n))
            break
        found = interval([seed.value for seed in seeds[:n]])
        means.append(Point(key, found.mean, began, n))
        if found.half is not None and found.sd is not None:
            halves.append(Point(f"{key}/half", found.half, began, n))
            spreads.append(Point(f"{key}/sd", found.sd, began, n))
    return {key: means}, {f"{key}/half": halves}, {f"{key}/sd": spreads}
