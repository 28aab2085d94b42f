"""Images, their masks, and what each method makes of them, side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.palette import COLUMN, MM, PAGE, style
from analysis.figures.panels import caption, grouped, short, title_of, told_apart
from analysis.measure import Drawn

_POINTS = 72
_NARROW = 4  # columns that fit one column of text
_METHODS, _IMAGES = 6, 4  # at most
_VOID = (224, 224, 192)  # of pixels without a class, as in the figures of PASCAL VOC


@style()
def masks(drawn: Sequence[Drawn]) -> Figure:
    """A row for each image kept in arrays `pixels`, `truth` and `predicted`; a column for the image, its mask and each method.

    Of a method its first seed is shown, of several tasks fewer images, of many methods the first six; colours are PASCAL VOC's.
    """
    groups = grouped(drawn)
    every = list(dict.fromkeys(one.method for one in drawn))
    methods = every[:_METHODS]
    most = max(1, _IMAGES // len(groups))
    rows = [
        (panel, i) for panel, group in groups.items() for i in range(min(most, *(len(one[0].arrays["truth"]) for one in group.values())))
    ]
    width = COLUMN if 2 + len(methods) <= _NARROW else PAGE
    side = min((width / MM - 8) / (2 + len(methods)), 30)
    figure = Figure(figsize=(width, (len(rows) * (side + 1) + 8) * MM), layout="constrained")
    grid = figure.subplots(len(rows), 2 + len(methods), squeeze=False)
    for axes_row, (panel, i) in zip(grid, rows, strict=True):
        for axes, picture in zip(axes_row, _pictures(groups[panel], methods, i), strict=True):
            _show(axes, picture)
        if i == 0:
            axes_row[0].set_ylabel(short(title_of(panel), side / 25.4 * _POINTS))
    names = told_apart(methods, side / 25.4 * _POINTS)
    for axes, name in zip(grid[0], ["image", "mask", *(names[method] or method or "predicted" for method in methods)], strict=True):
        axes.set_title(name)
    left_out = f"; {len(methods)} of {len(every)} methods" if len(methods) < len(every) else ""
    caption(figure, f"the first images by content, each method's first seed{left_out}; light: no class")
    return figure


def _pictures(group: Mapping[str, list[Drawn]], methods: Sequence[str], i: int) -> list[np.ndarray | None]:
    """Image `i`, its mask, and that of each method, None where it has none here."""
    arrays = next(iter(group.values()))[0].arrays
    predicted = [coloured(group[method][0].arrays["predicted"][i]) if method in group else None for method in methods]
    return [arrays["pixels"][i].transpose(1, 2, 0), coloured(arrays["truth"][i]), *predicted]


def coloured(mask: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Each class in its colour of PASCAL VOC, whose bits are those of the class id, dealt out to red, green and blue from the top."""
    ids = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    palette[255] = _VOID
    shown: np.ndarray = palette[mask]
    return shown


def _show(axes: Axes, picture: np.ndarray | None) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if picture is not None:
        axes.imshow(picture, interpolation="nearest")
