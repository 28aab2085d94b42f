"""Robust accuracy against the radius of the attack: FGSM and PGD curves (Figure 2b). At radius 0 it is the clean accuracy."""

from collections.abc import Sequence

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
    """Accuracy (0 to 100 %) against eps * `scale`, named `radius`, a panel per task, a line per method.

    Arrays `eps` [E], radii as fractions of the pixel range, equal within a method, and `accuracy` [E] in per cent. For L2
    attacks, whose radius is the length of the image, pass `scale=1`. `chance` (per cent) draws the accuracy of guessing.
    The band is the t interval, on the logit scale where it would leave 0 to 100 %.
    """
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    figure, panels = sheet(len(groups), 30 if len(groups) > 1 else 48)
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel))
        if chance is not None:
            axes.axhline(chance, color=GREY, lw=0.8, ls=(0, (1, 1)), zorder=0)
        for method, group in methods.items():
            accuracy = stacked(group, "accuracy")
            seed_lines(axes, places(group, "eps") * scale, accuracy, look[method], percent_bounds(accuracy))
        axes.set_ylim(0, 100)
        axes.set_yticks([0, 25, 50, 75, 100])
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 5, 10]))
    bottom_label(panels, radius)
    figure.supylabel("accuracy (%)")
    words = lines_in_words(len(group) for methods in groups.values() for group in methods.values())
    key(figure, look, words if chance is None else f"{words}; dotted: chance, {chance:.3g} %")
    return figure
