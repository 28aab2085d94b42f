"""Training curves of many runs on one pair of axes: a hairline a run, a thick line for the mean of each label's seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.palette import COLOURS, COLUMN, MM, Look, looks, style
from analysis.figures.panels import key, lines_in_words, plain_log
from analysis.figures.progress import mean_line


@dataclass(frozen=True)
class Curve:
    """One run: its label (arm or candidate), its seed, and a metric's values at increasing epochs; NaN where it has none."""

    label: str
    seed: int
    epochs: tuple[int | float, ...]
    values: tuple[float, ...]


@style()
def curves(runs: Sequence[Curve], metric: str, *, log: bool = False) -> Figure:
    """`metric` (name and unit) against the epoch, on a log axis if `log`; a run that ends early has a cross at its end.

    Up to eight labels get a colour and an entry in the legend each, with mean and band over the epochs that all their seeds
    have; more labels are drawn grey, as hairlines alone.
    """
    groups: dict[str, list[Curve]] = {}
    for run in runs:
        groups.setdefault(run.label, []).append(run)
    many = len(groups) > len(COLOURS)
    look = {label: Look("#8A8A8A", (), "") for label in groups} if many else looks(groups)
    figure = Figure(figsize=(COLUMN, 50 * MM), layout="constrained")
    axes = figure.add_subplot()
    last = max(run.epochs[-1] for run in runs)
    for label, group in groups.items():
        if not many:
            _mean(axes, group, look[label])
        for run in group:
            ends = [len(run.epochs) - 1] if run.epochs[-1] < last else []
            axes.plot(run.epochs, run.values, color=look[label].colour, lw=0.4, alpha=0.7, zorder=2, marker="x", markevery=ends)
    axes.set(xlabel="epoch", ylabel=metric)
    if log:
        plain_log(axes, "y")
    words = f"{len(runs)} runs of {len(groups)} candidates" if many else lines_in_words(map(len, groups.values()))
    early = "; ×: ended before the last epoch" if any(run.epochs[-1] < last for run in runs) else ""
    key(figure, {} if many else look, words + early, "line")
    return figure


def _mean(axes: Axes, group: Sequence[Curve], look: Look) -> None:
    shared = sorted(set.intersection(*(set(run.epochs) for run in group)))
    at = [dict(zip(run.epochs, run.values, strict=True)) for run in group]
    if shared:
        mean_line(
            axes, np.array(shared), np.array([[values[epoch] for epoch in shared] for values in at]), Look(look.colour, look.dashes, "")
        )
