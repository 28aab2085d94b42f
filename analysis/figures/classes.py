"""What is right class by class: bars of IoU with intervals over seeds, and which class is taken for which (METRICS 9)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from analysis.figures.accuracy_curve import percent_bounds
from analysis.figures.palette import COLUMN, MM, PAGE, looks, style
from analysis.figures.panels import caption, grouped, key, seeds_in_words, sheet, stacked, title_of, told_apart
from analysis.measure import Drawn

_MATRICES = 6  # at most
_NUMBERED = 6  # classes whose shares are written in the matrix
_FEW = 100  # classes: of more, numbers have room for three or four ticks
_POINTS = 72
_ABSENT = "#C8C8C8"


@style()
def class_bars(drawn: Sequence[Drawn]) -> Figure:
    """IoU (percent) of every class from arrays `iou` [C], a panel per task, a bar per method; 95 % t intervals from three seeds on.

    A class has no bar where it is neither there nor predicted in some seed.
    """
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    figure = Figure(figsize=(PAGE, (len(groups) * 34 + 4) * MM), layout="constrained")
    panels = figure.subplots(len(groups), 1, sharey=True, squeeze=False)[:, 0]
    width = 0.8 / len(look)
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel))
        for method, group in methods.items():
            iou = 100 * stacked(group, "iou")
            places = np.arange(iou.shape[1]) + (list(look).index(method) - (len(look) - 1) / 2) * width
            axes.bar(places, iou.mean(axis=0), width, color=look[method].colour, zorder=2)
            known = ~np.isnan(iou).any(axis=0)
            if len(iou) > 2 and (bounds := percent_bounds(iou[:, known])) is not None:
                axes.vlines(places[known], *bounds, color="black", lw=0.8, zorder=3)
        axes.set(ylim=(0, 100), xlim=(-0.6, iou.shape[1] - 0.4))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel("class")
    figure.supylabel("IoU (%)")
    counts = [len(group) for methods in groups.values() for group in methods.values()]
    key(figure, look, f"mean of {seeds_in_words(counts)}" + ("; bar: 95 % t interval" if max(counts) > 2 else ""), "line")
    return figure


@style()
def confusions(drawn: Sequence[Drawn]) -> Figure:
    """Which share (percent) of a class is taken for which, from arrays `confusion` [C, C] summed over seeds.

    A panel per task and method, six at most, with one colour scale. Classes that nothing has are grey.
    """
    cells = [(panel, method, group) for panel, methods in grouped(drawn).items() for method, group in methods.items()]
    several = len({method for _, method, _ in cells}) > 1
    titles = [" · ".join(part for part in (title_of(panel), method if several else "") if part) for panel, method, _ in cells[:_MATRICES]]
    names = told_apart(titles, COLUMN * _POINTS / min(len(titles), 2) - 20)
    figure, panels = sheet(len(cells[:_MATRICES]), 40 if len(cells) > 1 else 66, sharex=False, sharey=False)
    for axes, title, (*_, group) in zip(panels, titles, cells, strict=False):
        axes.set_title(names[title], pad=6)  # above the number of the first class
        picture = _matrix(axes, row_shares(stacked(group, "confusion").sum(axis=0).astype(np.int64)))
    figure.colorbar(picture, ax=panels, label="share of the class (%)", shrink=0.8, aspect=30, location="bottom")
    figure.supylabel("true class")
    counted = f"sum of {seeds_in_words(len(group) for *_, group in cells)}"
    left_out = f"; {_MATRICES} of {len(cells)} panels" if len(cells) > _MATRICES else ""
    caption(
        figure,
        f"columns: predicted class; grey: class without any; {counted}{left_out}",
    )
    return figure


def row_shares(confusion: Int64[np.ndarray, "c c"]) -> Float[np.ndarray, "c c"]:
    """Each row in percent of its sum; not a number where that is 0."""
    with np.errstate(invalid="ignore"):
        shares: np.ndarray = 100 * confusion / confusion.sum(axis=1, keepdims=True)
    return shares


def _matrix(axes: Axes, shares: np.ndarray) -> AxesImage:
    axes.set_facecolor(_ABSENT)  # behind what is not a number
    picture = axes.imshow(shares, vmin=0, vmax=100, cmap="Blues")
    axes.xaxis.set_major_locator(MaxNLocator(5 if len(shares) <= _FEW else 4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5 if len(shares) <= _FEW else 4, integer=True))
    axes.spines[:].set_visible(False)
    if len(shares) <= _NUMBERED:
        for (i, j), share in np.ndenumerate(shares):
            if not np.isnan(share):
                axes.text(j, i, f"{share:.0f}", ha="center", va="center", color="white" if share > 50 else "black")
    return picture
