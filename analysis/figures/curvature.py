"""Spectra of curvature: the density of all eigenvalues, a panel a method, and the largest ones beside each other (METRICS 2).

The axis of eigenvalues is linear around 0 and logarithmic outside, one for all panels, and the density is that over this
axis: the share of eigenvalues per factor of ten, where the axis is logarithmic.
"""

from collections.abc import Sequence
from math import floor, log10

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from analysis.figures.palette import Look, looks, style
from analysis.figures.panels import Groups, grouped, key, log_ticks, seeds_in_words, sheet, stacked, title_of, told_apart, width_of
from analysis.geometry.spectrum import density
from analysis.measure import Drawn

_LINEAR = 1e-3  # of the largest eigenvalue: where the axis goes over from linear to logarithmic
_WIDTH = 1e-2  # of the axis: the kernel's deviation
_FLOOR = 1e-4  # a lower density is below the picture
_POINTS = 600
_PANEL = 72  # points: its width
_NAMES = {"hessian": "Hessian", "ggn": "Gauss-Newton matrix", "fisher_mc": "Fisher matrix", "fisher_empirical": "empirical Fisher matrix"}


@style()
def spectrum(drawn: Sequence[Drawn]) -> Figure:
    """The mean density over seeds in a panel per task and method, where it was taken, and the largest eigenvalues in one per task.

    Arrays `eigenvalues` [top], falling, and, all or none, `nodes` and `weights` [probes, steps].
    """
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    with_density = all("nodes" in one.arrays for one in drawn)
    cells = [(panel, method) for panel, methods in groups.items() for method in methods] if with_density else []
    figure, panels = sheet(len(cells) + len(groups), 32 if len(cells) + len(groups) > 1 else 48, sharex=False, sharey=False)
    if cells:
        _densities(panels[: len(cells)], cells, groups, look)
    for axes, (panel, methods) in zip(panels[len(cells) :], groups.items(), strict=True):
        axes.set_title(f"{title_of(panel)}: largest" if panel else "largest eigenvalues")
        _stems(axes, methods, look)
    _one_scale(panels[len(cells) :], log=any((one.arrays["eigenvalues"] > 0).any() for one in drawn))
    counts = [len(group) for methods in groups.values() for group in methods.values()]
    bars = "" if max(counts) == 1 else "; thin: single seeds; bars: their range" if cells else "; bars: range over seeds"
    of = " and ".join(dict.fromkeys(_operator(one) for one in drawn))
    key(figure, look, f"{of}, {seeds_in_words(counts)}{bars}; eigenvalues compare within one architecture")
    return figure


def _densities(panels: Sequence[Axes], cells: Sequence[tuple[str, str]], groups: Groups, look: dict[str, Look]) -> None:
    every = [one for panel, method in cells for one in groups[panel][method]]
    nodes = np.concatenate([one.arrays["nodes"].ravel() for one in every])
    linear = _LINEAR * max(np.abs(nodes).max(), 1e-12)
    ends = _bent(np.array([nodes.min(), nodes.max()]), linear)
    if ends[0] == ends[1]:
        ends += (-1, 1)
    margin = 0.04 * (ends[1] - ends[0])
    at = np.linspace(ends[0] - margin, ends[1] + margin, _POINTS)
    curves = {cell: _curves(groups[cell[0]][cell[1]], at, linear) for cell in cells}
    top = 2 * max(curve.max() for curve in curves.values())
    titles = told_apart((_title(*cell) for cell in cells), _PANEL)
    for axes, (panel, method) in zip(panels, cells, strict=True):
        values, colour = curves[panel, method], look[method].colour
        if len(values) > 1:
            axes.plot(at, values.T, color=colour, lw=0.4, alpha=0.7)
        axes.plot(at, values.mean(axis=0), color=colour, ls=look[method].line)
        axes.set_yscale("log")
        axes.set_ylim(_FLOOR, top)
        axes.set_xlim(at[0], at[-1])
        axes.set_title(titles[_title(panel, method)])
        _numbers(axes, linear, ends)
        axes.set_xlabel("eigenvalue")
        axes.set_ylabel("share per decade")
        _decades(axes)


def _title(panel: str, method: str) -> str:
    return f"{title_of(panel)}: {method}" if panel else method or "density"


def _curves(group: Sequence[Drawn], at: Float[np.ndarray, " g"], linear: float) -> Float[np.ndarray, "s g"]:
    """Densities [seeds, points] over the bent axis."""
    width = _WIDTH * (at[-1] - at[0])
    pairs = zip(stacked(group, "nodes"), stacked(group, "weights"), strict=True)
    return np.stack([np.maximum(density(_bent(nodes, linear), weights, at, width), _FLOOR / 10) for nodes, weights in pairs])


def _bent(values: np.ndarray, linear: float) -> np.ndarray:
    """Eigenvalues on the axis: linear around 0, a unit a factor of ten outside."""
    bent: np.ndarray = np.sign(values) * np.log10(1 + np.abs(values) / linear)
    return bent


def _numbers(axes: Axes, linear: float, ends: np.ndarray) -> None:
    """0 and powers of ten along the axis, the largest first, as many as stand clear of each other."""
    first, last = floor(log10(linear)) + 1, floor(log10(linear * (10 ** max(abs(ends)) - 1)))
    kept: dict[float, str] = {}
    for value in (0.0, *(sign * 10.0**power for power in range(last, first - 1, -1) for sign in (1, -1))):
        place, name = float(_bent(np.array([value]), linear)[0]), f"{value:g}".replace("-", "−")
        clear = all(
            abs(place - other) / (ends[1] - ends[0]) * _PANEL > (width_of(name) + width_of(text)) / 2 + 4 for other, text in kept.items()
        )
        if ends[0] <= place <= ends[1] and clear:
            kept[place] = name
    axes.xaxis.set_major_locator(FixedLocator(sorted(kept)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: kept[min(kept, key=lambda one: abs(one - place))]))


def _stems(axes: Axes, methods: dict[str, list[Drawn]], look: dict[str, Look]) -> None:
    for i, (method, group) in enumerate(methods.items()):
        values = stacked(group, "eigenvalues")
        rank = np.arange(1, values.shape[1] + 1) + 0.5 * ((i + 0.5) / len(methods) - 0.5)
        mean = values.mean(axis=0)
        range_ = np.maximum(np.stack([mean - values.min(axis=0), values.max(axis=0) - mean]), 0)  # a mean of equal ones is rounded
        axes.errorbar(rank, mean, range_ if len(values) > 1 else None, color=look[method].colour, ls="", marker=look[method].marker, lw=0.8)
    axes.set_xlabel("rank")
    axes.set_ylabel("eigenvalue")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _one_scale(panels: Sequence[Axes], *, log: bool) -> None:
    """One axis for all, linear where no eigenvalue is positive."""
    for axes in panels:
        axes.set_yscale("log" if log else "linear")
    low, high = (pick(axes.get_ylim()[end] for axes in panels) for end, pick in ((0, min), (1, max)))
    for axes in panels:
        axes.set_ylim(low, high)
        if not log:
            axes.yaxis.set_major_locator(MaxNLocator(4))
            continue
        axes.yaxis.set_major_locator(FixedLocator(log_ticks(low, high)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _decades(axes: Axes) -> None:
    axes.yaxis.set_major_locator(FixedLocator(log_ticks(*axes.get_ylim())))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _operator(one: Drawn) -> str:
    return _NAMES[next(iter(one.results)).removesuffix("_lambda_max")]
