"""Candidates as lines through their knobs down to the objective: which combinations are good.

Axes lie one below the other, so that names and ticks keep their size in one column whatever the number of knobs. Colour is
the objective; the best candidates are drawn last, on top; the pruned and diverged end, grey, above the objective's axis.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from analysis.figures.palette import COLUMN, MM, style
from analysis.figures.panels import caption, log_ticks, width_of, wrapped
from analysis.figures.slices import Judged, Knob, Scale, names_of, scale_of, upright

_ROW = 12.0
_NAMES = -0.12
_LENGTH = 135  # points of an axis


@style()
def parallel_coordinates(candidates: Sequence[Judged], objective: str, *, maximize: bool = True) -> Figure:
    """One line a candidate from its first knob down to `objective` (name and unit); the arm is a knob where there are several.

    A candidate that lacks a knob has a gap there. `maximize` says which end of the colour scale is drawn on top.
    """
    arms = {one.arm for one in candidates}
    points = [{"arm": one.arm, **one.knobs} if len(arms) > 1 else dict(one.knobs) for one in candidates]
    knobs = list(dict.fromkeys(knob for point in points for knob in point))
    means = np.array([np.nan if one.objective is None else one.objective.mean for one in candidates])
    scales = [scale_of([point[knob] for point in points if knob in point]) for knob in knobs]
    rows = np.cumsum([0, *(1 + _below(scale) for scale in scales)])
    figure = Figure(figsize=(COLUMN, (rows[-1] * _ROW + 8) * MM), layout="constrained")
    axes = figure.add_subplot(xlim=(-0.05, 1.05), ylim=(rows[-1] + 0.45, -0.25))
    axes.set_axis_off()
    places = np.full((len(candidates), len(knobs) + 1), np.nan)
    for column, (row, knob, scale) in enumerate(zip(rows.tolist(), knobs, scales, strict=False)):
        having = np.array([i for i, point in enumerate(points) if knob in point])
        aside = (having / len(points) - 0.5) * 0.5
        places[having, column] = _rule(axes, row, knob, scale, [points[i][knob] for i in having], aside)
    seen = means[~np.isnan(means)]
    low, high = (seen.min(), seen.max()) if len(seen) else (0.0, 0.0)
    places[:, -1] = (means - low) / (high - low) if high > low else means - low + 0.5
    labels = (low, (low + high) / 2, high) if high > low else (None, low, None) if len(seen) else ()
    _ticks(axes, rows[-1], objective, [0.0, 0.5, 1.0][: len(labels)], ["" if value is None else f"{value:.4g}" for value in labels])
    _lines(axes, places, rows, maximize=maximize)
    lost = len(means) - len(seen)
    caption(figure, f"{len(candidates)} candidates; colour: mean over seeds" + (f"; grey: {lost} pruned or diverged" if lost else ""))
    return figure


def _below(scale: Scale) -> float:
    """How many rows the names of choices take that stand upright below their axis."""
    names = names_of(scale.choices)
    return max(map(width_of, names)) / 72 / MM / _ROW if upright(names, _LENGTH) else 0.0


def _lines(axes: Axes, places: np.ndarray, rows: np.ndarray, *, maximize: bool) -> None:
    colours = colormaps["viridis"].reversed()
    goodness = places[:, -1] if maximize else 1 - places[:, -1]
    for place, good in zip(places, goodness.tolist(), strict=True):
        if np.isnan(good):
            axes.plot(place, rows, color="#B5B5B5", lw=0.5, zorder=1)
        else:
            axes.plot(place, rows, color=colours(0.05 + 0.95 * good), lw=0.5 + 0.7 * good, alpha=0.4 + 0.6 * good, zorder=2 + good)


def _rule(axes: Axes, row: float, knob: str, scale: Scale, values: Sequence[Knob], aside: np.ndarray) -> np.ndarray:
    """Draw the axis of one knob, and give the values' places on it, 0 to 1; those of one choice stand `aside` of each other."""
    at = np.array([scale.position(value) for value in values])
    if scale.choices:
        names = names_of(scale.choices)
        _ticks(axes, row, knob, [(i + 0.5) / len(names) for i in range(len(names))], names, 90 if upright(names, _LENGTH) else 0)
        spread: np.ndarray = (at + 0.5 + aside) / len(scale.choices)
        return spread
    low, high = float(at.min()), float(at.max())
    ticks = log_ticks(low, high) if scale.log else [float(t) for t in MaxNLocator(4).tick_values(low, high) if low <= t <= high]
    shape = np.log if scale.log else np.positive

    def place(x: np.ndarray) -> np.ndarray:
        where: np.ndarray = (shape(x) - shape(low)) / (shape(high) - shape(low))
        return where

    _ticks(axes, row, knob, place(np.array(ticks)).tolist(), [f"{tick:g}" for tick in ticks])
    return place(at)


def _ticks(axes: Axes, row: float, name: str, places: Sequence[float], labels: Sequence[str], turned: int = 0) -> None:
    axes.plot([0, 1], [row, row], color="black", lw=0.7, zorder=4)
    axes.text(_NAMES, row, wrapped(name.replace("_", " "), 70), ha="right", va="center")
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for place, label in zip(places, labels, strict=True):
        axes.plot([place, place], [row, row + 0.08], color="black", lw=0.7, zorder=4)
        axes.text(place, row + 0.12, label, ha="center", va="top", rotation=turned, path_effects=halo, zorder=5)
