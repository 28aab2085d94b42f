"""Panels in one paper column: who goes where, and what stands around.

A figure is 84 mm wide and has one panel per task, two side by side; methods share one legend above the data, and a note
below says what lines, bands and n mean. Text is measured before it is set, so that nothing runs over its neighbour.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from analysis.figures.palette import COLUMN, FONT, GREY, MM, Look
from analysis.measure import Drawn
from contrast.component import UserError

Groups = dict[str, dict[str, list[Drawn]]]
_POINTS = 72


def grouped(drawn: Sequence[Drawn]) -> Groups:
    """The measures by panel and method, both in order of appearance, each group in order of seed; raises without any."""
    if not drawn:
        raise UserError("drawn = []: must hold a finished measure. Draw after one is done.")
    groups: Groups = {}
    for one in drawn:
        groups.setdefault(one.panel, {}).setdefault(one.method, []).append(one)
    for methods in groups.values():
        for group in methods.values():
            group.sort(key=lambda one: one.seed)
    return groups


def stacked(group: Sequence[Drawn], name: str) -> np.ndarray:
    """The array `name` of all seeds of one method, float64 [seeds, ...]; raises `UserError` when their shapes differ."""
    arrays = [np.asarray(one.arrays[name], dtype=float) for one in group]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        rule = f"has shapes {sorted(shapes)} over seeds: must be one shape"
        raise UserError(f"{name} of {group[0].method!r} {rule}. Draw runs of one declaration together.")
    return np.stack(arrays)


def title_of(panel: str) -> str:
    """The title of a panel: `task 0` for the key segment `0`, otherwise the segment itself."""
    return f"task {panel}" if panel.isdigit() else panel


def sheet(panels: int, height: int | float, *, sharex: bool = True, sharey: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure in one column with `panels` axes, two side by side; `height` is a row's in mm."""
    columns = min(panels, 2)
    rows = -(-panels // columns)
    figure = Figure(figsize=(COLUMN, (rows * height + 4) * MM), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[panels:]:
        spare.remove()
        axes[panels - columns].xaxis.set_tick_params(labelbottom=True)
    return figure, axes[:panels]


def bottom_label(panels: Sequence[Axes], text: str) -> None:
    """The x label, below the lowest panel of each of the two columns."""
    for axes in panels[-2:]:
        axes.set_xlabel(text)


def log_ticks(low: float, high: float) -> list[float]:
    """Two to six round numbers from `low` to `high` for a log axis: 1, 2, 5 or 1, 3 of each decade, or every n-th decade."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits, every in (((1, 2, 5), 1), ((1, 3), 1), *(((1,), every) for every in range(1, last - first + 1))):
        ticks = [digit * 10.0**decade for decade in range(first, last + 1, every) for digit in digits]
        inside = [tick for tick in ticks if 0.999 * low <= tick <= 1.001 * high]
        if 2 <= len(inside) <= 5:
            return inside
    return [float(f"{low:.2g}"), float(f"{high:.2g}")]


def plain_log(axes: Axes, which: Literal["x", "y"]) -> None:
    """A log axis with numbers in full (0.02, 0.05, 0.1), since exponents would be set below 8 pt; call it after plotting."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set_xscale("log") if which == "x" else axes.set_yscale("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def key(figure: Figure, methods: Mapping[str, Look], note: str, show: Literal["both", "line", "marker"] = "both") -> None:
    """The legend above the panels, an entry per method, and below them `note`, which says what is drawn and what n is.

    The figure grows by the height of both, so that panels keep theirs.
    """
    width = figure.get_figwidth() * _POINTS - 8
    names = told_apart(methods, width - 40)
    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            ls="" if show == "marker" else look.line,
            marker="" if show == "line" else look.marker,
            label=names[label],
        )
        for label, look in methods.items()
    ]
    widest = max((width_of(str(handle.get_label())) for handle in handles), default=0.0)
    columns = max(1, min(len(handles), int(width // (widest + 36))))
    rows = -(-len(handles) // columns)
    if handles:
        _grow(figure, rows * 4.2)
        figure.legend(handles=handles, loc="outside upper center", ncols=-(-len(handles) // rows))  # rows of equal length
    caption(figure, note)


def caption(figure: Figure, note: str) -> None:
    """`note` in grey below everything; the figure grows by its height."""
    text = wrapped(note, figure.get_figwidth() * _POINTS - 8)
    _grow(figure, (text.count("\n") + 1) * 3.6 + 3)
    below = figure.legend(handles=[], loc="outside lower center", title=text)
    below.get_title().set(multialignment="center", color=GREY)


def seeds_in_words(counts: Iterable[int]) -> str:
    """`n = 4 seeds`, or `n = 3–4 seeds` where methods differ."""
    low, high = min(found := list(counts)), max(found)
    return f"n = {low} seed{'s' if low > 1 else ''}" if low == high else f"n = {low}–{high} seeds"


def lines_in_words(counts: Iterable[int]) -> str:
    """What thick lines, hairlines and bands are, with n; a band is promised only where some method has three seeds."""
    found = list(counts)
    if max(found) == 1:
        return f"{seeds_in_words(found)}, no interval"
    band = "; band: pointwise 95 % t interval" if max(found) > 2 else "; no interval below 3 seeds"
    return f"thick: mean of {seeds_in_words(found)}; thin: single seeds{band}"


def wrapped(text: str, width: int | float, size: float = FONT) -> str:
    """`text` in lines of at most `width` points, broken after a semicolon or, within a longer phrase, at spaces."""
    phrases = text.split("; ")
    closed = [f"{phrase};" for phrase in phrases[:-1]] + phrases[-1:]
    return "\n".join(filled([line for phrase in closed for line in filled(phrase.split(), width, size)], width, size))


def short(text: str, width: int | float, size: float = FONT) -> str:
    """`text`, cut with an ellipsis when it is wider than `width` points."""
    if width_of(text, size) <= width:
        return text
    kept = next((n for n in range(len(text) - 1, 0, -1) if width_of(text[:n] + "…", size) <= width), 0)
    return text[:kept] + "…"


def told_apart(names: Iterable[str], width: int | float, size: float = FONT) -> dict[str, str]:
    """Each name in at most `width` points, no two alike: cut at the end, or all in the middle, or numbered, whichever first does."""
    every = list(dict.fromkeys(names))
    for cut in (short, _without_its_middle):
        found = {name: cut(name, width, size) for name in every}
        if len(set(found.values())) == len(every):
            return found
    return {name: short(f"{i} {name}", width, size) for i, name in enumerate(every, start=1)}


def _without_its_middle(text: str, width: int | float, size: float) -> str:
    cuts = (f"{text[: (n + 1) // 2]}…{text[len(text) - n // 2 :]}" for n in range(len(text) - 1, -1, -1))
    return next((cut for cut in (text, *cuts) if width_of(cut, size) <= width), "…")


@lru_cache(maxsize=4096)
def width_of(text: str, size: float = FONT) -> float:
    """The width of one line of text in points."""
    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0])


def filled(parts: list[str], width: int | float, size: float = FONT) -> list[str]:
    """Lines of at most `width` points, each as many of the parts in order as fit; a part that is wider has a line of its own."""
    lines: list[str] = []
    for part in parts:
        if lines and width_of(f"{lines[-1]} {part}", size) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines


def _grow(figure: Figure, height: float) -> None:
    figure.set_size_inches(figure.get_figwidth(), figure.get_figheight() + height * MM)
