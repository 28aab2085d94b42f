"""Progress t_w along a training: how far each method has come from ignorance to truth, epoch by epoch (Figure 2a).

t_w is the place on the geodesic from P_0 (uniform, t = 0) to P_* (one-hot truth, t = 1) that lies nearest to the model.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.palette import Look, looks, style
from analysis.figures.panels import bottom_label, grouped, key, lines_in_words, sheet, stacked, title_of
from analysis.measure import Drawn
from analysis.statistics import band


@style()
def progress(drawn: Sequence[Drawn], label: str = "fine-tuning epoch") -> Figure:
    """t_w (0 to 1) against the epoch, a panel per task, a line per method; arrays `t` [E+1] of epochs 0..E, or of those in `epoch`."""
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    figure, panels = sheet(len(groups), 30 if len(groups) > 1 else 48)
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel))
        for method, group in methods.items():
            t = stacked(group, "t")
            epochs = stacked(group, "epoch")[0] if "epoch" in group[0].arrays else np.arange(t.shape[1])
            seed_lines(axes, epochs, t, look[method])
    bottom_label(panels, label)
    figure.supylabel("progress $t_w$  ($P_0$: 0, $P_*$: 1)")
    key(figure, look, lines_in_words(len(group) for methods in groups.values() for group in methods.values()))
    return figure


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
