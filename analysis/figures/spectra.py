"""Spectra of representations: the share of the variance in each direction, on log axes, with the power laws fitted to them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.figures.palette import looks, style
from analysis.figures.panels import bottom_label, grouped, key, lines_in_words, sheet, stacked, title_of
from analysis.figures.progress import seed_lines
from analysis.measure import Drawn

_DECADES = 8  # below so many a float32 network's eigenvalues are rounding


@style()
def spectra(drawn: Sequence[Drawn]) -> Figure:
    """Eigenvalues as shares of their sum against their rank, a panel per task, a line per method; the band is that of logarithms.

    Arrays `eigenvalues` [d], largest first, equal in number within a method, and `fit` [4] of its first and last
    rank, offset and exponent. Eigenvalues of 0 are not drawn.
    """
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    figure, panels = sheet(len(groups), 34 if len(groups) > 1 else 52)
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel))
        for method, group in methods.items():
            values = stacked(group, "eigenvalues")
            sums = values.sum(axis=1, keepdims=True)
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = np.log10(np.where(values > 0, values / sums, np.nan))
            known = np.isfinite(shares).all(axis=0) & (shares > -_DECADES).all(axis=0)
            seed_lines(axes, np.log10(1 + np.flatnonzero(known)), shares[:, known], look[method])
            _fitted(axes, stacked(group, "fit"), np.log10(sums[:, 0]))
    for axis in (axes for each in panels for axes in (each.xaxis, each.yaxis)):
        axis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{10**value:g}"))
    bottom_label(panels, "rank of the eigenvalue")
    figure.supylabel("share of the variance")
    key(figure, look, f"{_words(drawn)}; {lines_in_words(len(group) for methods in groups.values() for group in methods.values())}")
    return figure


def _fitted(axes: Axes, fits: np.ndarray, sums: np.ndarray) -> None:
    """The mean of the seeds' fits, where all of them are."""
    x = np.log10(np.array([fits[:, 0].max(), fits[:, 1].min()]))
    offset, alpha = fits[:, 2:].mean(axis=0)
    axes.plot(x, offset / np.log(10) - sums.mean() - alpha * x, color="black", lw=0.6, zorder=4)


def _words(drawn: Sequence[Drawn]) -> str:
    ranks = {tuple(int(rank) for rank in one.arrays["fit"][:2]) for one in drawn}
    where = " on ranks {}–{}".format(*ranks.pop()) if len(ranks) == 1 else ""
    return f"black: power laws fitted{where}"
