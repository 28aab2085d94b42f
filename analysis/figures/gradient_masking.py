"""The accuracy that each attack leaves: gradients can be believed where PGD leaves the least but for attacks that are given more."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from analysis.figures.palette import looks, style
from analysis.figures.panels import bottom_label, grouped, key, seeds_in_words, sheet, title_of
from analysis.measure import Drawn
from analysis.statistics import band

_ROWS = {
    "clean": "none",
    "noise": "noise",
    "square": "Square",
    "fgsm": "FGSM",
    "pgd": "PGD",
    "more": "PGD, 4 × steps",
    "huge": "PGD, ε = 1",
}


@style()
def gradient_masking(drawn: Sequence[Drawn]) -> Figure:
    """A panel per task, a row per attack from results `accuracy_<attack>`, a mark per method; the note names whose checks failed."""
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    most = max(len(methods) for methods in groups.values())
    figure, panels = sheet(len(groups), 14 + len(_ROWS) * max(4.5, 1.1 * most))
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel))
        for i, (method, group) in enumerate(methods.items()):
            seeds = np.array([[one.results[f"accuracy_{attack}"] for attack in _ROWS] for one in group])
            mean, half = band(seeds)
            rows = np.arange(len(_ROWS)) + 0.7 * ((i + 0.5) / len(methods) - 0.5)
            if len(group) > 2:
                axes.hlines(rows, np.maximum(mean - half, 0), np.minimum(mean + half, 100), color=look[method].colour, lw=0.8)
            axes.plot(mean, rows, color=look[method].colour, ls="", marker=look[method].marker)
        axes.set_xlim(0, 100)
        axes.set_yticks(range(len(_ROWS)), list(_ROWS.values()))
        axes.set_ylim(len(_ROWS) - 0.5, -0.5)
    bottom_label(panels, "accuracy (%)")
    counts = [len(group) for methods in groups.values() for group in methods.values()]
    lines = "; lines: 95 % t interval" if max(counts) > 2 else ""
    failed = list(dict.fromkeys(one.method or "the network" for one in drawn if one.results["suspect"]))
    verdict = f"suspect, as a check failed: {', '.join(failed)}" if failed else "no check failed"
    key(figure, look, f"mean of {seeds_in_words(counts)}{lines}; {verdict}", show="marker")
    return figure
