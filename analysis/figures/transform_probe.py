"""What an encoder and its head know of a change: a row a method, full for h, hollow for g(h), and chance (PROTOCOL 4.4)."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.accuracy_curve import percent_bounds
from analysis.figures.palette import COLUMN, GREY, MM, Look, looks, style
from analysis.figures.panels import caption, grouped, seeds_in_words, short, title_of, told_apart
from analysis.measure import Drawn

_APART = 0.17  # of h and g(h) from the middle of their row


@style()
def transform_probe(drawn: Sequence[Drawn]) -> Figure:
    """Results `h`, `z` and `chance` (percent): a group of rows per panel, a row per method; all groups have the scale 0 to 100 %."""
    groups = grouped(drawn)
    look = looks(one.method for one in drawn)
    heights = [len(methods) for methods in groups.values()]
    figure = Figure(figsize=(COLUMN, (sum(heights) * 5.0 + len(groups) * 5.4 + 9) * MM), layout="constrained")
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=[height + 0.4 for height in heights])[:, 0]
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        _rows(axes, methods, look, told_apart(look, 90))
        axes.set_title(short(title_of(panel), 220), loc="left")
    panels[-1].set(xlim=(-2, 102), xlabel="accuracy of a linear probe (%)")
    counts = [len(group) for methods in groups.values() for group in methods.values()]
    bar = "; bar: 95 % t interval" if max(counts) > 2 else ""
    caption(figure, f"full: encoder h; hollow: behind its head, g(h); mean of {seeds_in_words(counts)}{bar}; dotted: chance")
    return figure


def _rows(axes: Axes, methods: Mapping[str, Sequence[Drawn]], look: Mapping[str, Look], names: Mapping[str, str]) -> None:
    for y, (method, group) in enumerate(methods.items()):
        shape, ends = look[method], []
        for name, place, face in (("h", y - _APART, shape.colour), ("z", y + _APART, "white")):
            values = [one.results[name] for one in group]
            mean, bounds = fmean(values), percent_bounds(np.array(values)[:, None])
            ends.append((mean, place))
            axes.plot(values, [place] * len(values), ".", color=shape.colour, ms=3, mec="none", alpha=0.6, zorder=2)
            if bounds is not None and len(values) > 2:
                axes.plot(bounds, [place] * 2, "|-", color=shape.colour, lw=1.0, ms=3, zorder=3)
            axes.plot(mean, place, marker=shape.marker, color=shape.colour, mfc=face, ms=4.5, mew=0.9, zorder=4)
        axes.plot(*zip(*ends, strict=True), color=shape.colour, lw=0.6, zorder=1)
    guessing = next(iter(methods.values()))[0].results["chance"]
    axes.axvline(guessing, color=GREY, lw=0.8, ls=(0, (1, 1)), zorder=0)
    axes.set(ylim=(len(methods) - 0.45, -0.55), yticks=range(len(methods)), yticklabels=[names[method] for method in methods])
    axes.tick_params(axis="y", length=0)
