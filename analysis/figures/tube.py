"""How far replicates of a method are apart where they have come equally far, and how far methods are from one another."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.palette import looks, style
from analysis.figures.panels import bottom_label, key, sheet, title_of
from analysis.measure import Drawn


@style()
def tube(drawn: Sequence[Drawn]) -> Figure | None:
    """d_B (nats) of the pairs of a method's seeds against their progress, hairlines and their mean; grey: mean of pairs of two methods.

    A panel per measure. Arrays `t` [K] and `distance` [K, R, R] of the R runs, whose methods come from `of`. None where no method
    has two seeds.
    """
    look = looks(method for one in drawn for method, _ in one.of)
    pairs = [_pairs(one) for one in drawn]
    if not any(len(found[method]) for found in pairs for method in look):
        return None
    figure, panels = sheet(len(drawn), 30 if len(drawn) > 1 else 48)
    for axes, one, found in zip(panels, drawn, pairs, strict=True):
        t, distance = np.asarray(one.arrays["t"], dtype=float), np.asarray(one.arrays["distance"], dtype=float)
        axes.set_title(title_of(one.panel))
        for method, those in found.items():
            if not those:
                continue
            lines = np.stack([distance[:, i, j] for i, j in those])
            if method is None:
                axes.plot(t, _mean(lines), color="#8A8A8A", ls=(0, (1.2, 1.2)), zorder=1)
                continue
            if len(lines) > 1:
                axes.plot(t, lines.T, color=look[method].colour, lw=0.4, alpha=0.7, zorder=2)
            axes.plot(t, _mean(lines), color=look[method].colour, ls=look[method].line, zorder=3)
    panels[0].set_ylim(bottom=0)  # after the last line, since panels share their axis, and this ends its growing
    bottom_label(panels, "progress $t_w$")
    figure.supylabel("distance $d_B$ (nats)")
    grey = "; grey: mean over pairs of two methods" if any(found[None] for found in pairs) else ""
    key(figure, look, f"at equal progress; thick: mean over pairs of a method's seeds; thin: single pairs{grey}", "line")
    return figure


def _mean(lines: np.ndarray) -> np.ndarray:
    """The mean over the pairs that have a number there."""
    mean: np.ndarray = np.ma.masked_invalid(lines).mean(axis=0).filled(np.nan)
    return mean


def _pairs(one: Drawn) -> dict[str | None, list[tuple[int, int]]]:
    """The pairs of runs of each method, and under None those of two methods."""
    found: dict[str | None, list[tuple[int, int]]] = {method: [] for method, _ in one.of}
    found[None] = []
    for i, j in combinations(range(len(one.of)), 2):
        found[one.of[i][0] if one.of[i][0] == one.of[j][0] else None].append((i, j))
    return found
