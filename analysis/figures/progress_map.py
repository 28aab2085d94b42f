"""Final progress as a heat map, tasks by methods: mean, half-width of its interval and the trajectory's length ratio in every cell."""

import numpy as np
from matplotlib.axes import Axes

from analysis.figures.panels import Groups, short, title_of
from analysis.statistics import interval

_MOST = 5  # columns that a paper column has room for
_ROW = {1: 5.0, 2: 7.5}  # mm of a row with so few columns, and of others
_TALL = 10.5


def map_height(groups: Groups) -> float:
    """The height of the map's cells in mm; 0 where there is a single cell, or no room for the columns."""
    few, many = sorted((len(groups), len(_methods(groups))))
    return 0.0 if many == 1 or few > _MOST else many * _ROW.get(few, _TALL)


def progress_map(axes: Axes, groups: Groups) -> None:
    """Draw it: the longer of tasks and methods downwards, colours from 0 to the largest mean."""
    names, methods = [title_of(panel) for panel in groups], _methods(groups)
    means = np.array([[_mean(groups, panel, method) for panel in groups] for method in methods])
    columns = min(len(names), len(methods))
    texts = [[_text(groups, panel, method, columns) for panel in groups] for method in methods]
    down, across = methods, names
    if len(names) > len(methods):
        means, texts, down, across = means.T, [list(column) for column in zip(*texts, strict=True)], names, methods
    top = max(float(np.nanmax(means)), 1e-12)
    axes.imshow(np.ma.masked_invalid(means), cmap="cividis", vmin=0, vmax=top, aspect="auto")
    for y, row in enumerate(texts):
        for x, text in enumerate(row):
            dark = means[y, x] / top < 0.5
            axes.text(x, y, text, ha="center", va="center", color="white" if dark else "black", linespacing=1.05)
    width = 150 / len(across)  # points of a column
    axes.set_xticks(range(len(across)), [short(name, width) for name in across])
    axes.set_yticks(range(len(down)), [short(name, 56) for name in down])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def _methods(groups: Groups) -> list[str]:
    return list(dict.fromkeys(method for methods in groups.values() for method in methods))


def _mean(groups: Groups, panel: str, method: str) -> float:
    group = groups[panel].get(method, [])
    return float(np.mean([one.results["t"] for one in group])) if group else float("nan")


def _text(groups: Groups, panel: str, method: str, columns: int) -> str:
    """The numbers of a cell in three lines, or in fewer where columns are wide."""
    group = groups[panel].get(method, [])
    if not group:
        return ""
    estimate = interval([one.results["t"] for one in group])
    half = [] if estimate.half is None else [f"± {estimate.half:.3f}"]
    ratio = np.mean([one.results["length_ratio"] for one in group])
    return ("\n" if columns > 2 else " ").join([f"{estimate.mean:.3f}", *half]) + ("\n" if columns > 1 else ", ") + f"× {ratio:.3g}"
