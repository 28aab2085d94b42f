"""Images beside the clusters of their places: which parts an encoder tells apart without a label (PROTOCOL 8.5)."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.figures.palette import COLOURS, COLUMN, MM, PAGE, style
from analysis.figures.panels import caption, grouped, short, title_of, told_apart
from analysis.measure import Drawn

_POINTS = 72
_NARROW = 4  # columns that fit one column of text
_COLUMNS, _IMAGES = 7, 4  # at most
_CLUSTERS = 4  # shown, where there are so many
Column = tuple[str, str, str]  # its title, the method, the array


@style()
def local_clusters(drawn: Sequence[Drawn]) -> Figure:
    """A row for each image of `pixels`; a column for the image and, with four clusters, for each layer of one method or each method.

    Of several methods the last layer is shown, of each method its first seed, of several panels fewer images; the colours of a map say
    no more than which places go together, the largest cluster being the first colour. Arrays as `LocalClusters` keeps them.
    """
    groups = grouped(drawn)
    every = _columns(groups)
    columns = every[: _COLUMNS - 1]
    most = max(1, _IMAGES // len(groups))
    rows = [
        (panel, i) for panel, group in groups.items() for i in range(min(most, min(len(one[0].arrays["pixels"]) for one in group.values())))
    ]
    width = COLUMN if 1 + len(columns) <= _NARROW else PAGE
    side = min((width / MM - 8) / (1 + len(columns)), 30)
    figure = Figure(figsize=(width, (len(rows) * (side + 1) + 8) * MM), layout="constrained")
    grid = figure.subplots(len(rows), 1 + len(columns), squeeze=False)
    for axes_row, (panel, i) in zip(grid, rows, strict=True):
        group = groups[panel]
        _show(axes_row[0], _image(next(iter(group.values()))[0].arrays["pixels"][i]))
        for axes, (_, method, name) in zip(axes_row[1:], columns, strict=True):
            _show(axes, _map(group[method][0], name, i) if method in group else None)
        if i == 0:
            axes_row[0].set_ylabel(short(title_of(panel), side / 25.4 * _POINTS))
    titles = told_apart((title for title, _, _ in columns), side / 25.4 * _POINTS)
    for axes, name in zip(grid[0], ["image", *titles.values()], strict=True):
        axes.set_title(name)
    left_out = f"; {len(columns)} of {len(every)} columns" if len(columns) < len(every) else ""
    caption(
        figure, f"k-means with {_words(groups)} of the features of each place, first seed; a colour is a cluster of its own map{left_out}"
    )
    return figure


def _columns(groups: Mapping[str, Mapping[str, Sequence[Drawn]]]) -> list[Column]:
    """The layers of the only method, or the last layer of every method."""
    first: dict[str, Drawn] = {}
    for methods in groups.values():
        for method, group in methods.items():
            first.setdefault(method, group[0])
    names = list(first)
    if len(names) == 1:
        layers = first[names[0]].arrays["layer"].tolist()
        return [("pixels" if layer == 0 else f"stage {layer}", names[0], f"clusters_{layer}") for layer in layers]
    return [(name, name, f"clusters_{first[name].arrays['layer'][-1]}") for name in names]


def _shown(one: Drawn) -> int:
    """Which of the k is shown: the one nearest to four."""
    return int(np.abs(one.arrays["k"] - _CLUSTERS).argmin())


def _words(groups: Mapping[str, Mapping[str, Sequence[Drawn]]]) -> str:
    counts = {int(group[0].arrays["k"][_shown(group[0])]) for methods in groups.values() for group in methods.values()}
    return f"k = {' or '.join(map(str, sorted(counts)))}"


def _image(pixels: UInt8[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
    colours: np.ndarray = pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0)
    return colours.transpose(1, 2, 0)


def _map(one: Drawn, name: str, i: int) -> Float[np.ndarray, "h w 3"]:
    """Each cluster in its colour; after eight they come again lighter."""
    labels = one.arrays[name][_shown(one), i].astype(int)
    base, turn = np.array([to_rgb(colour) for colour in COLOURS])[labels % len(COLOURS)], labels // len(COLOURS)
    coloured: np.ndarray = 1 - (1 - base) * 0.5 ** turn[..., None]
    return coloured


def _show(axes: Axes, picture: np.ndarray | None) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if picture is not None:
        axes.imshow(picture, interpolation="nearest")
