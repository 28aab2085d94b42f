"""Loss surfaces around the solutions, on shared directions and one shared colour scale (Figure 1a).

Filled contours and iso-lines at log-spaced levels; a cross marks the solution, hatching the part where some seed's loss is
above the colour range and only known to be so. The number in each title is the measure's main result.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.figures.palette import COLUMN, MM, PAGE, style
from analysis.figures.panels import caption, grouped, log_ticks, seeds_in_words, stacked, title_of, told_apart
from analysis.geometry.grid import refined
from analysis.measure import Drawn
from analysis.statistics import interval
from analysis.table import cell
from contrast.component import UserError

_LEAST = 1e-4  # a lower loss is drawn as this one: a log scale has no zero
_LEVELS = 13


@style()
def landscape(drawn: Sequence[Drawn], loss: str = "cross-entropy (nats)") -> Figure:
    """The mean surface over seeds: a panel per method, tasks in rows of their own.

    Arrays `surface` and `clipped` [P, P], entry [i, j] at alpha = alphas[i] and beta = alphas[j], and `alphas` [P], of one
    grid for the seeds of a method; NaN is not measured yet, and what is has dots then. Up to three panels side by side fill a column
    of 84 mm; several tasks with more than three methods make the figure 174 mm wide, with up to five.
    """
    groups = grouped(drawn)
    most = max(len(row) for row in groups.values())
    columns = min(most, _most_columns(len(groups), most))
    rows = [(panel, chunk) for panel, row in groups.items() for chunk in _chunks(list(row.items()), columns)]
    width = COLUMN if columns <= 3 else PAGE
    side = min((width / MM - 16) / columns, 46)
    figure = Figure(figsize=(width, (len(rows) * (side + 9) + 20) * MM), layout="constrained")
    grid = figure.subplots(len(rows), columns, sharex=True, sharey=True, squeeze=False)
    levels = _levels([_mean(group) for row in groups.values() for group in row.values()])
    names = told_apart((method for row in groups.values() for method in row), side / 25.4 * 72)
    filled: list[QuadContourSet] = []
    for axes_row, (panel, chunk) in zip(grid, rows, strict=True):
        axes_row[0].set_ylabel(f"{title_of(panel)}\nβ" if panel else "β")
        for axes, (method, group) in zip(axes_row, chunk, strict=False):
            filled.append(_surface(axes, group, levels))
            axes.set_title(f"{names[method]}\n{_flatness(group)}")
        for spare in axes_row[len(chunk) :]:
            spare.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("α")
    _colour_bar(figure, grid, filled[0], levels, loss)
    caption(figure, _words(drawn, [len(group) for row in groups.values() for group in row.values()]))
    return figure


def _most_columns(tasks: int, methods: int) -> int:
    if methods <= 3:
        return 3
    if tasks > 1:
        return 5
    return 2 if methods == 4 else 3  # two rows of two, not three and one


def _chunks(row: list[tuple[str, list[Drawn]]], columns: int) -> list[list[tuple[str, list[Drawn]]]]:
    return [row[start : start + columns] for start in range(0, len(row), columns)]


def _colour_bar(figure: Figure, grid: np.ndarray, filled: QuadContourSet, levels: np.ndarray, loss: str) -> None:
    bar = figure.colorbar(filled, ax=grid, orientation="horizontal", aspect=figure.get_figwidth() / MM / 3, pad=0.01)
    ticks = log_ticks(levels[0], levels[-1])
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.outline.set_linewidth(0.5)
    bar.set_label(loss)


def _surface(axes: Axes, group: Sequence[Drawn], levels: np.ndarray) -> QuadContourSet:
    alphas, surface = stacked(group, "alphas")[0], np.maximum(_mean(group), levels[0]).T
    missing = np.isnan(stacked(group, "surface")).any(axis=0)
    clipped = stacked(group, "clipped").max(axis=0).T
    filled = axes.contourf(alphas, alphas, surface, levels=levels, norm=LogNorm(levels[0], levels[-1]), cmap="viridis")
    axes.contour(alphas, alphas, surface, levels=levels[1:-1:2], colors="white", linewidths=0.4, alpha=0.8)
    if clipped.any():
        axes.contourf(alphas, alphas, clipped, levels=[0.5, 1.5], colors="none", hatches=["/////"])
    if missing.any():
        axes.plot(*alphas[np.argwhere(~missing).T], "o", color="white", ms=min(1.6, 30 / len(alphas)), mew=0)
    axes.plot(0, 0, "+", color="white", ms=5, mew=0.9)
    ticks = [float(alphas[0]), 0.0, float(alphas[-1])]
    names = [f"{tick:g}".replace("-", "−") for tick in ticks]
    axes.set_aspect("equal")
    axes.set_yticks(ticks, names)
    first, _, last = axes.set_xticks(ticks, names)
    first.label1.set_horizontalalignment("left")  # neighbours' outer labels would touch
    last.label1.set_horizontalalignment("right")
    return filled


def _mean(group: Sequence[Drawn]) -> np.ndarray:
    alphas = stacked(group, "alphas")
    if not (alphas == alphas[0]).all():
        raise UserError(f"alphas of {group[0].method!r} differ over seeds: must be one grid. Draw runs of one declaration together.")
    mean: np.ndarray = stacked(group, "surface").mean(axis=0)
    return refined(mean)


def _levels(surfaces: Sequence[np.ndarray]) -> np.ndarray:
    low = max(_LEAST, min(surface.min() for surface in surfaces))
    high = max(surface.max() for surface in surfaces)
    return np.geomspace(low, max(high, low * 1.05), _LEVELS)


def _flatness(group: Sequence[Drawn]) -> str:
    values = [next(iter(one.results.values())) for one in group]
    estimate = interval(values)
    if estimate.points_only:
        return ", ".join(f"{value:.3g}" for value in values)
    return cell(estimate).rpartition(" (")[0]


def _words(drawn: Sequence[Drawn], counts: list[int]) -> str:
    surface = "surface" if max(counts) == 1 else "mean surface"
    interval_words = "mean ± 95 % t half-width" if max(counts) > 2 else "each seed" if max(counts) == 2 else "one seed"
    where = "above the range" if max(counts) == 1 else "a seed is above the range"
    hatch = f"; hatched: {where}" if any(np.any(one.arrays["clipped"]) for one in drawn) else ""
    dots = "; dots: measured so far, linear between" if any(np.isnan(one.arrays["surface"]).any() for one in drawn) else ""
    planes = ", mean over planes" if any("spread" in one.arrays for one in drawn) else ""
    titles = f"in titles: {next(iter(drawn[0].results))}, {interval_words}"
    return f"{surface} of {seeds_in_words(counts)}{planes}; {titles}; +: the solution{hatch}{dots}"
