"""Percentage misclassified against the size of the change: one minus the distribution of minimal norms, free of any grid of radii.

Beside it the same of the samples that are right without attack, since a larger clean error lifts a curve from its start.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.accuracy_curve import percent_bounds
from analysis.figures.palette import looks, style
from analysis.figures.panels import bottom_label, grouped, key, lines_in_words, sheet, title_of
from analysis.figures.progress import seed_lines
from analysis.measure import Drawn

_POINTS = 101
_UNITS = {"l0": "numbers changed", "l1": "norm (L1)", "l2": "norm (L2)", "linf": "norm (L∞, 1/255)"}


@style()
def minimal_norm(drawn: Sequence[Drawn]) -> Figure:
    """A row per task, a line per method; arrays `distances` [N], and `eps`, whose last is the largest norm that is drawn."""
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    norm = str(getattr(drawn[0].measure, "norm", "l2"))
    scale = 255 if norm == "linf" else 1
    last = max(float(one.arrays["eps"][-1]) for one in drawn)
    norms = np.linspace(0, last, _POINTS)
    figure, panels = sheet(2 * len(groups), 34 if len(groups) > 1 else 44)
    for (left, right), (panel, methods) in zip(zip(panels[::2], panels[1::2], strict=True), groups.items(), strict=True):
        left.set_title(title_of(panel) or "all samples")
        right.set_title("right without attack")
        for method, group in methods.items():
            for axes, relative in ((left, False), (right, True)):
                wrong = np.stack([misclassified(one.arrays["distances"], norms, relative) for one in group])
                seed_lines(axes, norms * scale, wrong, look[method], percent_bounds(wrong))
    for axes in panels:
        axes.set_ylim(0, 100)
        axes.set_yticks([0, 25, 50, 75, 100])
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 4, 5, 10]))
    bottom_label(panels, _UNITS[norm])
    figure.supylabel("misclassified (%)")
    key(figure, look, lines_in_words(len(group) for methods in groups.values() for group in methods.values()))
    return figure


def misclassified(distances: Float[np.ndarray, " n"], norms: Float[np.ndarray, " x"], relative: bool) -> Float[np.ndarray, " x"]:
    """Percentage of the samples, or of those at a distance above 0, that are no farther than each norm; NaN without any."""
    chosen = np.sort(distances[distances > 0] if relative else distances)
    if len(chosen) == 0:
        return np.full(len(norms), np.nan)
    share: np.ndarray = np.searchsorted(chosen, norms, side="right") / len(chosen)
    return 100 * share
