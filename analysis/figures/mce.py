"""Corruption errors in terms of a baseline's: a row for the mean and one for every corruption, a marker and a bar a method.

Ratios are taken within a seed, so a bar speaks of the comparison and not of what the seeds have in common.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.corruptions import one_set
from analysis.figures.palette import COLUMN, GREY, MM, Look, looks, style
from analysis.figures.panels import grouped, key, seeds_in_words, stacked
from analysis.measure import Drawn
from analysis.statistics import band

_LEAST, _MOST, _EACH = 4.2, 9.0, 1.8  # mm of a row, and of a method within it
_LIGHT = "#E4E4E4"


@style()
def mce(drawn: Sequence[Drawn], baseline: str) -> Figure | None:
    """Error in percent of that of `baseline`, the mean first; arrays `ratio`, `corruption` and `published` [C] alike in all.

    Tasks are averaged within a seed, of the seeds that have all of them; None where no seed has. Corruptions that are not as published
    have a star, and are not in the mean. Bars are 95 % t intervals, from three seeds on; below that single seeds are dots.
    """
    look = looks(one.method for one in drawn)
    corruptions, known = one_set(drawn)
    names = ["mean", *corruptions]
    values = {method: found for method in look if len(found := _by_seed(drawn, method, known))}
    if not values:
        return None
    row = float(np.clip(_EACH * len(values) + 1.5, _LEAST, _MOST))
    figure = Figure(figsize=(COLUMN, (row * len(names) + 11) * MM), layout="constrained")
    axes = figure.subplots()
    _rows(axes, names)
    places = (np.arange(len(values)) - (len(values) - 1) / 2) * 0.8 / len(values)
    for place, (method, found) in zip(places, values.items(), strict=True):
        _marks(axes, np.arange(len(names)) + place, found, look[method])
    axes.set_xlabel(f"error (% of that of {baseline})")
    counts = [len(found) for found in values.values()]
    bars = "; bars: 95 % t intervals" if max(counts) > 2 else "; dots: single seeds" if max(counts) == 2 else ", no interval"
    stars = "" if known.all() else "; *: not as published, not in the mean"
    key(figure, {method: look[method] for method in values}, f"means of {seeds_in_words(counts)}{bars}{stars}", show="marker")
    return figure


def _by_seed(drawn: Sequence[Drawn], method: str, known: np.ndarray) -> np.ndarray:
    """The mean ratio and those of all corruptions [seeds, 1 + C] of a method, means over tasks."""
    groups = grouped(drawn)
    tasks = [{one.seed: stacked([one], "ratio")[0] for one in methods.get(method, [])} for methods in groups.values()]
    shared = sorted(set.intersection(*map(set, tasks)))
    ratios = np.array([np.mean([task[seed] for task in tasks], axis=0) for seed in shared]).reshape(len(shared), len(known))
    return np.concatenate([ratios[:, known].mean(axis=1, keepdims=True), ratios], axis=1)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for y in range(len(names) - 1):
        axes.axhline(y + 0.5, color=GREY if y == 0 else _LIGHT, lw=0.6, zorder=0)
    axes.axvline(100, color=GREY, lw=0.8, zorder=1)


def _marks(axes: Axes, y: np.ndarray, values: np.ndarray, look: Look) -> None:
    mean, half = band(values)
    if len(values) > 2:
        axes.errorbar(mean, y, xerr=half, fmt="none", ecolor=look.colour, elinewidth=0.8, zorder=2)
    elif len(values) == 2:
        axes.plot(values.T, y, ls="", marker=".", ms=2, color=look.colour, alpha=0.7, zorder=2)
    axes.plot(mean, y, ls="", marker=look.marker, color=look.colour, zorder=3)
