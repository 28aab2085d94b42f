"""Alignment against uniformity: how close views of an image lie, and how evenly all images fill the sphere; lower left is better."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.palette import GREY, Look, looks, style
from analysis.figures.panels import bottom_label, grouped, key, seeds_in_words, sheet, title_of
from analysis.measure import Drawn
from analysis.statistics import band
from contrast.component import UserError


@style()
def alignment_uniformity(alignments: Sequence[Drawn], uniformities: Sequence[Drawn]) -> Figure:
    """A panel per task, a small dot per run, a large one where a method's mean is, with the interval of both numbers from three seeds on.

    The main results of both; a run is a method, panel and seed that both have, and `UserError` is raised where there is none.
    """
    other = {(one.method, one.panel, one.seed): _main(one) for one in uniformities}
    found = [one for one in alignments if (one.method, one.panel, one.seed) in other]
    if not found:
        raise UserError("alignments and uniformities have no run in common: must be of the same stages. Measure both of one stage.")
    groups = grouped(found)
    look = looks(one.method for one in found)
    figure, panels = sheet(len(groups), 38 if len(groups) > 1 else 52)
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel))
        for method, group in methods.items():
            _dots(axes, np.array([(_main(one), other[method, panel, one.seed]) for one in group]), look[method])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.grid(color=GREY, lw=0.3, alpha=0.3)
    bottom_label(panels, "← alignment")
    figure.supylabel("← uniformity")
    counts = [len(group) for methods in groups.values() for group in methods.values()]
    bars = "; bars: 95 % t intervals" if max(counts) > 2 else ""
    dots = (
        f"large: mean of {seeds_in_words(counts)}; small: single seeds{bars}"
        if max(counts) > 1
        else f"{seeds_in_words(counts)}, no interval"
    )
    key(figure, look, f"{dots}; arrows: to the better", "marker")
    return figure


def _dots(axes: Axes, points: np.ndarray, look: Look) -> None:
    """Runs [S, 2] and their mean."""
    mean, half = band(points)
    axes.plot(*points.T, look.marker, color=look.colour, ms=2.2, mec="none", alpha=0.7, zorder=2)
    if len(points) > 2:
        axes.errorbar(mean[0], mean[1], yerr=half[1], xerr=half[0], color=look.colour, lw=0.8, capsize=1.5, zorder=3)
    axes.plot(*mean, look.marker, color=look.colour, ms=5.0, mec="white", mew=0.5, zorder=4)


def _main(one: Drawn) -> float:
    return next(iter(one.results.values()))
