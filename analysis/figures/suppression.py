"""Feature suppression against the level of the competing feature (PROTOCOL 8.2 to 8.4)."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.accuracy_curve import places
from analysis.figures.palette import GREY, looks, style
from analysis.figures.panels import bottom_label, grouped, key, lines_in_words, sheet, stacked, title_of
from analysis.figures.progress import seed_lines
from analysis.measure import Drawn


@style()
def suppression(drawn: Sequence[Drawn]) -> Figure:
    """Arrays `index` against `level` [L], a panel per task, a line per method; dotted lines are 0, as without it, and 1, as untrained."""
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    figure, panels = sheet(len(groups), 32 if len(groups) > 1 else 48)
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel))
        for height in (0, 1):
            axes.axhline(height, color=GREY, lw=0.8, ls=(0, (1, 1)), zorder=0)
        for method, group in methods.items():
            seed_lines(axes, places(group, "level"), stacked(group, "index"), look[method])
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 4, 5, 10]))
    bottom_label(panels, "competing feature")
    figure.supylabel("suppression index")
    words = lines_in_words(len(group) for methods in groups.values() for group in methods.values())
    key(figure, look, f"{words}; dotted: 0, as without it, and 1, as untrained")
    return figure
