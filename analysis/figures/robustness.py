"""Robust accuracy against the radius of the attack: FGSM and PGD curves (Figure 2b). At radius 0 it is the clean accuracy."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.accuracy_curve import percent_bounds, places
from analysis.figures.palette import GREY, looks, style
from analysis.figures.panels import bottom_label, grouped, key, lines_in_words, sheet, stacked, title_of
from analysis.figures.progress import seed_lines
from analysis.measure import Drawn


@style()
def robustness(
    drawn: Sequence[Drawn], chance: int | float | None = None, scale: int | float = 255, radius: str = "radius ε (1/255)"
) -> Figure:
    """Accuracy (0 to 100 %) against eps * `scale`, named `radius`, a row per task, a line per method; right, relative to radius 0.

    Arrays `eps` [E], radii as fractions of the pixel range, equal within a method, and `accuracy` [E] in per cent; where eps does not
    begin at 0, the result `clean` is the accuracy there. For L2 attacks, whose radius is the length of the image, pass `scale=1`.
    `chance` (per cent) draws the accuracy of guessing. The band is the t interval, on the logit scale where it would leave 0 to 100 %.
    """
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    figure, panels = sheet(2 * len(groups), 30 if len(groups) > 1 else 44)
    for (left, right), (panel, methods) in zip(zip(panels[::2], panels[1::2], strict=True), groups.items(), strict=True):
        left.set_title(title_of(panel) or "all samples")
        right.set_title("% of that at radius 0")
        if chance is not None:
            left.axhline(chance, color=GREY, lw=0.8, ls=(0, (1, 1)), zorder=0)
        for method, group in methods.items():
            radii, accuracy = _from_zero(group)
            seed_lines(left, radii * scale, accuracy, look[method], percent_bounds(accuracy))
            if radii[0] == 0 and (accuracy[:, 0] > 0).all():
                share = 100 * accuracy / accuracy[:, :1]
                seed_lines(right, radii * scale, share, look[method], percent_bounds(share))
    for axes in panels:
        axes.set_ylim(0, 100)
        axes.set_yticks([0, 25, 50, 75, 100])
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 4, 5, 10]))
    bottom_label(panels, radius)
    figure.supylabel("accuracy (%)")
    words = lines_in_words(len(group) for methods in groups.values() for group in methods.values())
    key(figure, look, words if chance is None else f"{words}; dotted: chance, {chance:.3g} %")
    return figure


def _from_zero(group: Sequence[Drawn]) -> tuple[np.ndarray, np.ndarray]:
    """Radii [E] and accuracies [S, E] of a method, with the accuracy without attack in front where it is told."""
    radii, accuracy = places(group, "eps"), stacked(group, "accuracy")
    if radii[0] == 0 or not all("clean" in one.results for one in group):
        return radii, accuracy
    return np.insert(radii, 0, 0.0), np.column_stack([[one.results["clean"] for one in group], accuracy])
