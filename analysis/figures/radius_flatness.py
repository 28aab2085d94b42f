"""Loss and error on the way in random directions, and the radius at which the loss has risen (METRICS 1)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.palette import COLUMN, MM, Look, looks, style
from analysis.figures.panels import grouped, key, plain_log, seeds_in_words, stacked, title_of
from analysis.measure import Drawn
from analysis.statistics import band

_ROW = 34  # mm


@style()
def radius_flatness(drawn: Sequence[Drawn]) -> Figure:
    """Loss (left, log) and error (right) against the step in filter-normalised units, a row per task, a line per method.

    Arrays `alphas` [P], equal within a method, `loss` and `error` [K, P] of K directions. A line is the mean over directions and
    seeds; its band is the 95 % t interval over seeds where a method has three or more, and else over the directions of all. A
    triangle marks the mean radius at which the loss has risen by 1 nat.
    """
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    figure = Figure(figsize=(COLUMN, (len(groups) * _ROW + 8) * MM), layout="constrained")
    rows = figure.subplots(len(groups), 2, sharex=True, sharey="col", squeeze=False)
    for (left, right), (panel, methods) in zip(rows, groups.items(), strict=True):
        for method, group in methods.items():
            alphas = stacked(group, "alphas")[0]
            _line(left, alphas, np.where(np.isfinite(loss := stacked(group, "loss")), loss, np.nan), look[method])
            _line(right, alphas, stacked(group, "error"), look[method])
            _radius(left, group, look[method])
        left.set_ylabel(f"{title_of(panel)}\nloss (nats)" if panel else "loss (nats)")
        right.set_ylabel("error (%)")
        right.set_ylim(0, 100)
    plain_log(rows[0, 0], "y")
    for axes in rows[-1]:
        axes.set_xlabel("step α")
    key(figure, look, _words(drawn, [len(group) for methods in groups.values() for group in methods.values()]), "line")
    return figure


def _line(axes: Axes, alphas: np.ndarray, values: np.ndarray, look: Look) -> None:
    """The mean of `values` [seeds, K, P] with its band, below zero nowhere."""
    mean, half = band(values.mean(axis=1) if len(values) > 2 else values.reshape(-1, values.shape[-1]))
    low = np.maximum(mean - half, np.minimum(values.min(axis=(0, 1)), mean))
    axes.fill_between(alphas, low, mean + half, color=look.colour, alpha=0.18, lw=0, zorder=1)
    axes.plot(alphas, mean, color=look.colour, ls=look.line, zorder=3)


def _radius(axes: Axes, group: Sequence[Drawn], look: Look) -> None:
    radius = float(np.mean([one.results["radius_rise_1"] for one in group]))
    axes.plot(radius, 0.05, marker="^", color=look.colour, ms=4, mec="white", mew=0.4, zorder=4, transform=axes.get_xaxis_transform())


def _words(drawn: Sequence[Drawn], counts: list[int]) -> str:
    directions = len(drawn[0].arrays["loss"])
    over = "directions" if max(counts) < 3 else "seeds" if min(counts) > 2 else "seeds, of fewer than 3 over directions"
    what = f"mean of {directions} directions, {seeds_in_words(counts)}"
    return f"{what}; band: pointwise 95 % t interval over {over}; ▴: radius of a rise by 1 nat"
