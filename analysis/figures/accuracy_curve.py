"""Accuracy against what a reader may choose on a log axis: the neighbours of a vote, the share of the labels."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.figures.palette import GREY, looks, style
from analysis.figures.panels import bottom_label, grouped, key, lines_in_words, plain_log, sheet, stacked, title_of
from analysis.figures.progress import seed_lines
from analysis.measure import Drawn
from analysis.statistics import fraction_bounds
from contrast.component import UserError

_TICKS = 5  # so many measured places are the ticks


@style()
def accuracy_curve(drawn: Sequence[Drawn], name: str, label: str, chance: int | float | None = None, scale: int | float = 1) -> Figure:
    """Accuracy (percent) against the array `name` times `scale`, named `label`, a panel per task, a line per method.

    Arrays `name` [X], above 0 and equal within a method, and `accuracy` [X]. All panels have one scale, which need not begin at 0; the
    note tells `chance` (percent), the accuracy of guessing. The band is the t interval, on the logit scale where it would leave 0 to
    100 %.
    """
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    figure, panels = sheet(len(groups), 34 if len(groups) > 1 else 48)
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel))
        for method, group in methods.items():
            accuracy = stacked(group, "accuracy")
            seed_lines(axes, places(group, name) * scale, accuracy, look[method], percent_bounds(accuracy))
    measured = sorted({place * scale for methods in groups.values() for group in methods.values() for place in places(group, name)})
    for axes in panels:
        plain_log(axes, "x")
        if len(measured) <= _TICKS:
            axes.xaxis.set_major_locator(FixedLocator(measured))
            axes.xaxis.set_minor_locator(NullLocator())
    bottom_label(panels, label)
    figure.supylabel("accuracy (%)")
    words = lines_in_words(len(group) for methods in groups.values() for group in methods.values())
    key(figure, look, words if chance is None else f"{words}; {_guessing(panels, chance)}")
    return figure


def _guessing(panels: Sequence[Axes], chance: int | float) -> str:
    """Draws chance where the accuracies leave it in sight, since else they would be pressed together; what the note says of it."""
    low, high = panels[0].get_ylim()
    if not low - 0.5 * (high - low) <= chance <= high:
        return f"chance: {chance:.3g} %"
    for axes in panels:
        axes.axhline(chance, color=GREY, lw=0.8, ls=(0, (1, 1)), zorder=0)
    return f"dotted: chance, {chance:.3g} %"


def places(group: Sequence[Drawn], name: str) -> np.ndarray:
    """The array `name` of a method, which must be the same for all its seeds."""
    given = stacked(group, name)
    if not (given == given[0]).all():
        raise UserError(f"{name} of {group[0].method!r} differ over seeds: must be one set. Draw runs of one declaration together.")
    first: np.ndarray = given[0]
    return first


def percent_bounds(accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The 95 % interval of percentages [S, X] over the seeds, which does not leave 0 to 100; None below two seeds."""
    if len(accuracy) < 2:
        return None
    low, high = fraction_bounds(np.clip(accuracy / 100, 0, 1))
    return 100 * low, 100 * high
