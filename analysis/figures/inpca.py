"""InPCA: the trajectories of all methods and seeds in one embedding, from ignorance P_0 to truth P_* (Figure 1b).

A panel per task shows axes 1 and 2, a lower one below it axes 1 and 3; both have one unit of length, so that distances can
be read by eye. A negative eigenvalue makes an axis imaginary: along it, distances count negative. The lowest panel has the first
eigenvalues with their signs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from analysis.figures.palette import COLUMN, MM, Look, looks, style
from analysis.figures.panels import key, seeds_in_words, title_of
from analysis.measure import Drawn
from contrast.component import UserError

_HALO = [withStroke(linewidth=2, foreground="white")]
_SCREE, _BARS = 9.0, 10  # mm of the lowest panel, and how many axes it has
_WIDER, _TALLER = 1.8, 1.3  # room for the names of the ends, at their left and right


@dataclass(frozen=True)
class _Path:
    method: str
    epochs: np.ndarray
    points: np.ndarray


@style()
def inpca(drawn: Sequence[Drawn]) -> Figure:
    """Three panels per measure, labelled with each axis' share of stress, lambda_k^2 / sum_j lambda_j^2.

    Arrays `coordinates` [M, 5], signed `eigenvalues` of all axes, `model` [M] (index into `of`, -1 for P_0, -2 for P_*) and
    `epoch` [M]; the methods come from `of`.
    """
    look = looks(method for one in drawn for method, _ in one.of)
    columns = min(len(drawn), 2)
    rows = -(-len(drawn) // columns)
    across = 22.0 if columns == 2 else 64.0  # mm of a panel
    upper, lower = _aspects(drawn)
    height = rows * (across * (upper + lower) + 19 + 19)
    figure = Figure(figsize=(COLUMN, (height + 2) * MM), layout="constrained")
    grid = figure.subplots(3 * rows, columns, squeeze=False, height_ratios=[upper, lower, _SCREE / across] * rows)
    for axes in grid.flat:
        axes.set_visible(False)
    for i, one in enumerate(drawn):
        above, below, scree = grid[3 * (i // columns) : 3 * (i // columns) + 3, i % columns]
        _pair(above, below, one, look, upper, lower)
        _scree(scree, np.asarray(one.arrays["eigenvalues"], dtype=float))
        above.set_title(title_of(one.panel))
    counts = [sum(method == label for method, _ in one.of) for one in drawn for label in dict.fromkeys(label for label, _ in one.of)]
    thin = "thick: mean of " + seeds_in_words(counts) + "; thin: single seeds" if max(counts) > 1 else seeds_in_words(counts)
    grey = "; grey: the runs that the axes were made of" if any(True for one in drawn for _ in _behind(one)) else ""
    key(figure, look, f"{thin}; marker: last epoch; %: share of stress; imag., hollow: negative eigenvalue{grey}")
    return figure


def _pair(upper: Axes, lower: Axes, one: Drawn, look: dict[str, Look], tall: float, low: float) -> None:
    coordinates = np.asarray(one.arrays["coordinates"], dtype=float)
    eigenvalues = np.asarray(one.arrays["eigenvalues"], dtype=float)
    names = [_axis_name(k, eigenvalues) for k in range(3)]
    widths = np.ptp(coordinates[:, :3], axis=0) * [_WIDER, _TALLER / tall, _TALLER / low]
    span = max(widths.max(), 1e-12)
    for axes, k, aspect in ((upper, 1, tall), (lower, 2, low)):
        axes.set_visible(True)
        axes.set(xlim=_around(coordinates[:, 0], span), ylim=_around(coordinates[:, k], span * aspect), box_aspect=aspect)
        axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 3, 4, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 3, 4, 5, 10]))
        for points in _behind(one):
            axes.plot(points[:, 0], points[:, k], color="#B0B0B0", lw=0.4, zorder=1)
        for path in _paths(one):
            axes.plot(path.points[:, 0], path.points[:, k], color=look[path.method].colour, lw=0.4, alpha=0.8, zorder=2)
        for method in dict.fromkeys(method for method, _ in one.of):
            _mean(axes, [path for path in _paths(one) if path.method == method], k, look[method])
        _mark_ends(axes, one, k)
        axes.set_ylabel(f"PC{k + 1}\n{names[k]}")
    upper.tick_params(labelbottom=False)
    lower.set_xlabel(f"PC1 ({names[0]})")


def _paths(one: Drawn) -> Iterator[_Path]:
    """The trajectories in order of `of`, each in order of epoch."""
    model, epoch = np.asarray(one.arrays["model"]), np.asarray(one.arrays["epoch"])
    for i, (method, seed) in enumerate(one.of):
        rows = np.flatnonzero(model == i)
        if not len(rows):
            raise UserError(
                f"model = {np.unique(model).tolist()}: has no row of {method!r}, seed {seed}. Draw it with the labels of its own `of`."
            )
        rows = rows[np.argsort(epoch[rows], kind="stable")]
        yield _Path(method, epoch[rows], one.arrays["coordinates"][rows])


def _scree(axes: Axes, eigenvalues: np.ndarray) -> None:
    """The first eigenvalues with their signs, those of imaginary axes hollow."""
    axes.set_visible(True)
    first = eigenvalues[:_BARS]
    colours = ["black" if value >= 0 else "white" for value in first]
    axes.bar(np.arange(1, len(first) + 1), first, width=0.7, color=colours, edgecolor="black", lw=0.6)
    axes.axhline(0, color="black", lw=0.6)
    axes.set(xlabel="axis", ylabel="$\\lambda$ (nats)", xlim=(0.4, _BARS + 0.6), xticks=[1, 4, 7, 10])
    axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))


def _behind(one: Drawn) -> Iterator[np.ndarray]:
    """The points of the trajectories that the axes were made of, where others lie on these axes."""
    model, epoch = np.asarray(one.arrays["model"]), np.asarray(one.arrays["epoch"])
    for i in np.unique(model[model < -2]):
        rows = np.flatnonzero(model == i)
        yield one.arrays["coordinates"][rows[np.argsort(epoch[rows], kind="stable")]]


def _mean(axes: Axes, paths: Sequence[_Path], k: int, look: Look) -> None:
    """The mean over seeds at the epochs that all have, and a marker where each seed and the mean end."""
    shared = sorted(set.intersection(*(set(path.epochs.tolist()) for path in paths)))
    mean = np.mean([path.points[np.isin(path.epochs, shared)] for path in paths], axis=0)
    axes.plot(mean[:, 0], mean[:, k], color=look.colour, ls=look.line, lw=1.3, zorder=3)
    axes.plot(mean[-1, 0], mean[-1, k], look.marker, color=look.colour, ms=4.5, mec="white", mew=0.5, zorder=5)
    if len(paths) > 1:
        ends = np.array([path.points[-1] for path in paths])
        axes.plot(ends[:, 0], ends[:, k], look.marker, color=look.colour, ms=2, mec="none", zorder=4)


def _mark_ends(axes: Axes, one: Drawn, k: int) -> None:
    """P_0 and P_* as black stars, named on their left and right, so that the names stay apart wherever the stars are."""
    coordinates, model = np.asarray(one.arrays["coordinates"]), np.asarray(one.arrays["model"])
    for mark, name, shift, side in ((-1, "$P_0$", -4, "right"), (-2, "$P_*$", 4, "left")):
        for x, y in coordinates[model == mark][:, [0, k]]:
            axes.plot(x, y, "*", color="black", ms=5.5, mec="white", mew=0.4, zorder=6)
            axes.annotate(name, (x, y), (shift, 0), textcoords="offset points", ha=side, va="center", path_effects=_HALO, zorder=7)


def _aspects(drawn: Sequence[Drawn]) -> tuple[float, float]:
    """Height over width of the upper and the lower panels, such that most data fill them."""
    ranges = np.array([np.ptp(np.asarray(one.arrays["coordinates"], dtype=float)[:, :3], axis=0) for one in drawn])
    relative = (ranges / np.maximum(ranges[:, :1], 1e-12)).max(axis=0)
    return float(np.clip(relative[1] * _TALLER / _WIDER, 0.7, 1.0)), float(np.clip(relative[2] * _TALLER / _WIDER, 0.55, 0.8))


def _around(values: np.ndarray, span: float) -> tuple[float, float]:
    middle = (values.min() + values.max()) / 2
    return middle - span / 2, middle + span / 2


def _axis_name(k: int, eigenvalues: np.ndarray) -> str:
    share = eigenvalues[k] ** 2 / (eigenvalues**2).sum()
    percent = "<0.1" if share < 0.001 else f"{100 * share:.{0 if share >= 0.1 else 1}f}"
    return f"{percent} %, {'real' if eigenvalues[k] >= 0 else 'imag.'}"
