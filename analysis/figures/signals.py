"""A label-free signal against what is judged, over the candidates of a search: whether it would have chosen as labels did."""

from collections.abc import Mapping

from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from analysis.figures.palette import GREY, looks, style
from analysis.figures.panels import key, sheet, short
from analysis.statistics.rank_correlation import kendall
from contrast.component import UserError


@style()
def signal(points: Mapping[str, Float[ndarray, "n 2"]], name: str, judged: str) -> Figure:
    """A dot a candidate at (signal `name`, objective `judged`), colour and marker by arm, with Kendall's tau within each arm.

    Signals of different losses are not comparable, so there is no tau over arms. `points` by arm; raises `UserError` without any.
    """
    if not any(len(each) for each in points.values()):
        raise UserError("points = {}: must hold a judged candidate. Draw after one is done.")
    look = looks(points)
    figure, (axes,) = sheet(1, 50)
    for arm, each in points.items():
        axes.plot(*each.T, look[arm].marker, color=look[arm].colour, ms=3.6, mec="white", mew=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(color=GREY, lw=0.3, alpha=0.3)
    axes.set(xlabel=short(name, 170), ylabel=short(judged, 130))
    told = {f"{kendall(*each.T)}: {arm}".removesuffix(": "): look[arm] for arm, each in points.items()}
    key(figure, told, "a dot: mean over the seeds of one candidate; τ: Kendall's, with its 95 % interval from 5 candidates on", "marker")
    return figure
