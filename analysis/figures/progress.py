"""Progress t_w along a training: how far each method has come from ignorance to truth, epoch by epoch (Figure 2a).

t_w is the place on the geodesic from P_0 (uniform, t = 0) to P_* (one-hot truth, t = 1) that lies nearest to the model.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.palette import COLUMN, MM, Look, looks, style
from analysis.figures.panels import bottom_label, grouped, key, lines_in_words, sheet, stacked, title_of
from analysis.figures.progress_map import map_height, progress_map
from analysis.measure import Drawn
from analysis.statistics import band


@style()
def progress(drawn: Sequence[Drawn], label: str = "fine-tuning epoch") -> Figure:
    """t_w (0 to 1) against the epoch, a panel per task, a line per method; below, the last epoch's t_w with its interval as a heat map.

    Arrays `t` [E+1] of epochs 0..E, or of those in `epoch`; results `t` and `length_ratio`.
    """
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    figure, panels, below = _sheet(len(groups), map_height(groups))
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel))
        for method, group in methods.items():
            t = stacked(group, "t")
            epochs = stacked(group, "epoch")[0] if "epoch" in group[0].arrays else np.arange(t.shape[1])
            seed_lines(axes, epochs, t, look[method])
    bottom_label(panels, label)
    for axes in panels[::2]:
        axes.set_ylabel("progress $t_w$")
    note = lines_in_words(len(group) for methods in groups.values() for group in methods.values())
    if below is not None:
        progress_map(below, groups)
        note += "; map: $t_w$ at the end, its 95 % t half-width, and × how much longer than straight the way was"
    key(figure, look, note + "; $P_0$ is at 0, $P_*$ at 1")
    return figure


def _sheet(count: int, cells: float) -> tuple[Figure, list[Axes], Axes | None]:
    """A figure with `count` panels, two side by side, and, if its `cells` have a height in mm, a map below."""
    if not cells:
        figure, panels = sheet(count, 30 if count > 1 else 48)
        return figure, panels, None
    columns, height = min(count, 2), 30 if count > 1 else 48
    lines, tall = -(-count // columns), cells + 4
    figure = Figure(figsize=(COLUMN, (lines * height + tall + 4) * MM), layout="constrained")
    grid = figure.add_gridspec(lines + 1, columns, height_ratios=[height] * lines + [tall])
    panels = []
    for i in range(count):
        shared = panels[0] if panels else None
        panels.append(figure.add_subplot(grid[i // columns, i % columns], sharex=shared, sharey=shared))
        panels[-1].tick_params(labelleft=i % columns == 0, labelbottom=i + columns >= count)
    return figure, panels, figure.add_subplot(grid[lines, :])


def seed_lines(axes: Axes, x: np.ndarray, values: np.ndarray, look: Look, bounds: tuple[np.ndarray, np.ndarray] | None = None) -> None:
    """The seeds' `values` [S, X] as hairlines, and their mean with its band as in `mean_line`."""
    if len(values) > 1:
        axes.plot(x, values.T, color=look.colour, lw=0.4, alpha=0.7, zorder=2)
    mean_line(axes, x, values, look, bounds)


def mean_line(axes: Axes, x: np.ndarray, values: np.ndarray, look: Look, bounds: tuple[np.ndarray, np.ndarray] | None = None) -> None:
    """The mean of `values` [S, X] over seeds as a line and, from three seeds on, the 95 % band around it.

    `bounds` gives the band's lower and upper edge where it is not the plain t interval.
    """
    mean, half = band(values)
    if len(values) > 2:
        low, high = bounds or (mean - half, mean + half)
        axes.fill_between(x, low, high, color=look.colour, alpha=0.18, lw=0, zorder=1)
    axes.plot(x, mean, color=look.colour, ls=look.line, marker=look.marker, markevery=max(1, len(x) // 6), zorder=3)
