"""Images, and twenty times what an attack adds to them for each method: grey is no change."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.palette import COLUMN, MM, PAGE, style
from analysis.figures.panels import caption, grouped, short, title_of, told_apart
from analysis.measure import Drawn

_POINTS = 72
_NARROW = 4  # columns that fit one column of text
_METHODS, _IMAGES = 7, 4  # at most
_TIMES = 20


@style()
def adversarial_examples(drawn: Sequence[Drawn]) -> Figure:
    """A row for each image of arrays `pixels` and `change` [N, C, H, W]; a column for the image and for each method's first seed.

    Of several tasks fewer images are shown, of many methods the first seven.
    """
    groups = grouped(drawn)
    every = list(dict.fromkeys(one.method for one in drawn))
    methods = every[:_METHODS]
    most = max(1, _IMAGES // len(groups))
    rows = [
        (panel, i) for panel, group in groups.items() for i in range(min(most, *(len(one[0].arrays["change"]) for one in group.values())))
    ]
    width = COLUMN if 1 + len(methods) <= _NARROW else PAGE
    side = min((width / MM - 8) / (1 + len(methods)), 26)
    figure = Figure(figsize=(width, (len(rows) * (side + 1) + 8) * MM), layout="constrained")
    grid = figure.subplots(len(rows), 1 + len(methods), squeeze=False)
    for axes_row, (panel, i) in zip(grid, rows, strict=True):
        group = groups[panel]
        _show(axes_row[0], next(iter(group.values()))[0].arrays["pixels"][i])
        for axes, method in zip(axes_row[1:], methods, strict=True):
            _show(axes, magnified(group[method][0].arrays["change"][i]) if method in group else None)
        if i == 0:
            axes_row[0].set_ylabel(short(title_of(panel), side / 25.4 * _POINTS))
    names = told_apart(methods, side / 25.4 * _POINTS)
    for axes, name in zip(grid[0], ["image", *(names[method] or method or "change" for method in methods)], strict=True):
        axes.set_title(name)
    left_out = f"; {len(methods)} of {len(every)} methods" if len(methods) < len(every) else ""
    caption(figure, f"{_TIMES} × the change of each image, grey: none; each method's first seed{left_out}")
    return figure


def magnified(change: Float[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "c h w"]:
    """Grey plus twenty times the change, cut at black and white."""
    shown: np.ndarray = (255 * np.clip(0.5 + _TIMES * change, 0, 1)).round().astype(np.uint8)
    return shown


def _show(axes: Axes, picture: np.ndarray | None) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if picture is not None:
        colours = picture if len(picture) == 3 else np.repeat(picture[:1], 3, axis=0)
        axes.imshow(colours.transpose(1, 2, 0), interpolation="nearest")
