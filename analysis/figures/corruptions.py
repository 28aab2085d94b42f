"""Corrupted images: accuracy and calibration by severity, and every method's error under every corruption at one colour scale."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator

from analysis.figures.accuracy_curve import percent_bounds, places
from analysis.figures.palette import COLUMN, FONT, MM, PAGE, Look, looks, style
from analysis.figures.panels import Groups, grouped, key, lines_in_words, stacked, title_of, told_apart, width_of
from analysis.figures.progress import seed_lines
from analysis.measure import Drawn
from analysis.statistics import fraction_bounds
from contrast.component import UserError

_CURVES, _ROW, _NAMES = 34, 4.0, 90  # mm of a row of curves and of one of the map, and the most points that a method's name may take
_MAP = 42  # mm of the map's width that are left for cells
_HIGH = 210  # mm of both, above which the map stands beside the curves
_DARK = 0.55  # of the colour scale: numbers on darker cells are white


@style()
def corruptions(drawn: Sequence[Drawn]) -> Figure:
    """Accuracy (0 to 100 %) and ECE against the severity, clean at 0, a row per task, and a map of errors (%) of the mean over tasks.

    Arrays `error` (%) and `ece` [C, S], `corruption` and `published` [C], `severities` [S], `clean` [2], equal but for the scores
    over all measures. Curves are means over the published corruptions; the others are marked by a star.
    """
    groups = grouped(drawn)
    names, published = one_set(drawn)
    look = looks(one.method for one in drawn)
    methods = list(look)
    errors = _mean_over_tasks(groups, methods)
    known = np.isfinite(errors)
    heights = [len(groups) * _CURVES, *([len(names) * _ROW + _below(methods)] if known.any() else [])]
    beside = len(heights) > 1 and sum(heights) > _HIGH
    figure = Figure(figsize=(PAGE if beside else COLUMN, ((max if beside else sum)(heights) + 4) * MM), layout="constrained")
    # Two figures in one, so that the names of the corruptions take no width from the curves.
    if beside:
        parts = list(figure.subfigures(1, 2, squeeze=False).flat)
    else:
        parts = list(figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights).flat)
    _curves(parts[0], groups, look, published)
    if known.any():
        _map(parts[1].subplots(), errors, methods, names)
    words = lines_in_words(len(group) for found in groups.values() for group in found.values())
    map_words = "colours: error in %, mean over seeds" + (" and tasks" if len(groups) > 1 else "")
    map_words += "" if known.all() else "; white: a method that lacks a task"
    map_words = map_words if known.any() else "no map of corruptions, for no method has every task"
    stars = "" if published.all() else "; *: not as published, in no curve"
    key(figure, look, f"{words}; {map_words}{stars}")
    return figure


def one_set(drawn: Sequence[Drawn]) -> tuple[list[str], np.ndarray]:
    """The corruptions that all measures have, with a star those that are not as published, and whether each is."""
    sets = {tuple(str(name) for name in one.arrays["corruption"]) for one in drawn}
    if len(sets) > 1:
        raise UserError(f"corruptions = {sorted(sets)}: must be one set. Draw measures of one declaration together.")
    published = np.asarray(drawn[0].arrays["published"], dtype=bool)
    words = [name.replace("_transform", "").replace("_", " ") for name in sets.pop()]
    return [word if known else f"{word} *" for word, known in zip(words, published, strict=True)], published


def _curves(figure: SubFigure, groups: Groups, look: dict[str, Look], published: np.ndarray) -> None:
    panels = figure.subplots(len(groups), 2, sharex=True, sharey="col", squeeze=False)
    for (accuracy, sure), (panel, methods) in zip(panels, groups.items(), strict=True):
        accuracy.set_title(title_of(panel), loc="left")
        for method, group in methods.items():
            severities, clean = np.array([0, *places(group, "severities")]), stacked(group, "clean")
            of_error, of_ece = (stacked(group, name)[:, published].mean(axis=1) for name in ("error", "ece"))
            right = 100 - np.concatenate([clean[:, :1], of_error], axis=1)
            ece = np.concatenate([clean[:, 1:], of_ece], axis=1)
            seed_lines(accuracy, severities, right, look[method], percent_bounds(right))
            seed_lines(sure, severities, ece, look[method], fraction_bounds(ece) if len(ece) > 1 else None)
        accuracy.set_ylabel("accuracy (%)")
        sure.set_ylabel("ECE")
    for axes in panels[-1]:
        axes.xaxis.set_major_locator(FixedLocator(range(6)))
        axes.set_xlabel("severity")
    panels[0, 0].set_ylim(0, 100)
    panels[0, 1].set_ylim(bottom=0)


def _mean_over_tasks(groups: Groups, methods: Sequence[str]) -> np.ndarray:
    """Errors [C, methods] over severities, seeds and tasks; NaN for a method that lacks a task."""
    columns = []
    for method in methods:
        found = [stacked(group[method], "error").mean(axis=(0, 2)) if method in group else None for group in groups.values()]
        complete = [one for one in found if one is not None]
        columns.append(np.mean(complete, axis=0) if len(complete) == len(found) else np.full_like(complete[0], np.nan))
    return np.stack(columns, axis=1)


def _map(axes: Axes, errors: np.ndarray, methods: Sequence[str], names: Sequence[str]) -> None:
    scale = Normalize(float(np.nanmin(errors)), float(np.nanmax(errors)))
    image = axes.imshow(errors, cmap="cividis", norm=scale, aspect="auto")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(methods)), list(told_apart(methods, _NAMES).values()), rotation=0 if _flat(methods) else 90)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if _MAP * MM * 72 / len(methods) > width_of("00") + 2:
        for (i, j), value in np.ndenumerate(errors):
            if np.isfinite(value):
                axes.text(j, i, f"{value:.0f}", ha="center", va="center", color="black" if scale(float(value)) > _DARK else "white")
    bar = axes.figure.colorbar(image, ax=axes, aspect=30, pad=0.02)
    bar.set_label("error (%)")


def _below(methods: Sequence[str]) -> float:
    """mm that the methods' names take below the map."""
    return FONT * 0.5 if _flat(methods) else max(width_of(name) for name in told_apart(methods, _NAMES).values()) / 72 / MM + 2


def _flat(methods: Sequence[str]) -> bool:
    """Whether the methods' names find room side by side."""
    return all(width_of(method) + 4 <= _MAP * MM * 72 / len(methods) for method in methods)
