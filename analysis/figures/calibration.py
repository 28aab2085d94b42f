"""Reliability diagrams: accuracy against confidence, how many samples say so, and what temperature scaling mends (METRICS 6).

Each method's band holds 95 % of what a calibrated network of its confidences would show: outside of it the method is wrong about
itself, inside it may be chance.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.palette import COLUMN, GREY, MM, Look, looks, style
from analysis.figures.panels import Groups, grouped, key, seeds_in_words, stacked, title_of, told_apart
from analysis.measure import Drawn
from analysis.statistics import Interval, interval, over_tasks

_DIAGRAM, _COUNTS, _ROW = 30.0, 9.0, 4.4  # heights in mm
_HALVED = (0.0, 0.5, 1.0)
_SCORES = {"ece": "ECE", "nll": "NLL (nats)"}


@style()
def calibration(drawn: Sequence[Drawn]) -> Figure:
    """A reliability diagram per task over the share of samples in each bin, a line per method; then ECE and NLL, before -> after.

    Arrays [M] of `count`, mean `confidence`, `accuracy`, `low` and `high`, NaN where a bin is empty; results `ece` and `nll`, which
    are averaged over the tasks within each seed, and the same as `scaled_...`.
    """
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    rows, whole = -(-len(groups) // 2), len(groups) == 1
    diagram = 1.5 * _DIAGRAM if whole else _DIAGRAM
    below = _ROW * len(look) + 7
    figure = Figure(figsize=(COLUMN, (rows * (diagram + _COUNTS + 8) + below) * MM), layout="constrained")
    grid = figure.add_gridspec(2 * rows + 1, 2, height_ratios=[*(diagram, _COUNTS) * rows, below])
    for i, (panel, methods) in enumerate(groups.items()):
        row, column = 2 * (i // 2), slice(None) if whole else i % 2
        upper = figure.add_subplot(grid[row, column], title=title_of(panel))
        lower = figure.add_subplot(grid[row + 1, column], sharex=upper, sharey=figure.axes[1] if i else None)
        _diagram(upper, methods, look)
        _counts(lower, methods, look)
        upper.set_ylabel("accuracy" if not i % 2 else "")
        lower.set(xlabel="confidence", ylabel="share" if not i % 2 else "")
    for column, (name, words) in enumerate(_SCORES.items()):
        _dumbbells(figure.add_subplot(grid[-1, column]), groups, look, name, names=not column)
        figure.axes[-1].set_xlabel(words)
    figure.align_ylabels([axes for axes in figure.axes if axes.get_ylabel()])
    key(figure, look, _words(groups))
    return figure


def _diagram(axes: Axes, methods: dict[str, list[Drawn]], look: dict[str, Look]) -> None:
    axes.plot([0, 1], [0, 1], color="black", lw=0.6, ls=(0, (1, 1)), zorder=1)
    for method, group in methods.items():
        count, shape = stacked(group, "count"), look[method]
        confidence, accuracy, low, high = (_pooled(count, stacked(group, name)) for name in ("confidence", "accuracy", "low", "high"))
        seen = count.sum(axis=0) > 0
        axes.fill_between(confidence[seen], low[seen], high[seen], color=shape.colour, alpha=0.15, lw=0, zorder=1)
        axes.plot(confidence[seen], accuracy[seen], color=shape.colour, ls=shape.line, marker=shape.marker, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=_HALVED, yticks=_HALVED)
    axes.tick_params(labelbottom=False)


def _pooled(count: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean over the samples of all seeds of `values` [S, M], the means of each seed's bins."""
    mean: np.ndarray = np.where(count > 0, count * values, 0).sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    return mean


def _counts(axes: Axes, methods: dict[str, list[Drawn]], look: dict[str, Look]) -> None:
    for method, group in methods.items():
        count = stacked(group, "count").sum(axis=0)
        edges = np.linspace(0, 1, len(count) + 1)
        axes.stairs(count / count.sum(), edges, color=look[method].colour, ls=look[method].line, lw=0.9)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 4, 5, 10]))


def _dumbbells(axes: Axes, groups: Groups, look: dict[str, Look], name: str, *, names: bool) -> None:
    before, after = _over_tasks(groups, name), _over_tasks(groups, f"scaled_{name}")
    for y, (method, shape) in enumerate(look.items()):
        if method not in before:
            continue
        ends = [(before[method], "white"), *([(after[method], shape.colour)] if method in after else [])]
        axes.plot([found.mean for found, _ in ends], [y] * len(ends), color=shape.colour, lw=2.4, alpha=0.3, zorder=1)
        for found, face in ends:
            if found.half is not None and not found.points_only:
                axes.errorbar(found.mean, y, xerr=found.half, color=shape.colour, lw=0.8, capsize=2, zorder=2)
            axes.plot(found.mean, y, shape.marker, color=shape.colour, mfc=face, ms=4.2, mew=0.9, zorder=3)
    axes.set(
        ylim=(len(look) - 0.4, -0.6), yticks=range(len(look)), yticklabels=[name if names else "" for name in told_apart(look, 60).values()]
    )
    axes.set_xlim(0, 1.06 * axes.get_xlim()[1])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.grid(axis="x", color=GREY, lw=0.3, alpha=0.4)


def _over_tasks(groups: Groups, name: str) -> dict[str, Interval]:
    """The result `name` of each method that has every task: over seeds, after the mean over tasks within each.

    A method is left out where one of them is not finite, as what is scaled may be: a mean of the others would be of other runs.
    """
    methods = [method for method in next(iter(groups.values())) if all(method in found for found in groups.values())]
    seeds = {
        method: over_tasks({panel: {one.seed: one.results[name] for one in found[method]} for panel, found in groups.items()})
        for method in methods
    }
    return {method: interval(list(found.values())) for method, found in seeds.items() if found and np.isfinite(list(found.values())).all()}


def _words(groups: Groups) -> str:
    counts = [len(group) for methods in groups.values() for group in methods.values()]
    tasks = " of the mean over tasks" if len(groups) > 1 else ""
    bars = f"; bar: 95 % t interval{tasks}" if max(counts) > 2 else ""
    lines = f"line: all samples of {seeds_in_words(counts)}"
    return (
        f"{lines}; band: 95 % of what a calibrated network shows; hollow: as trained; full: temperature-scaled, where errors tell one{bars}"
    )
