"""How much each knob matters for being among the best candidates: bars with intervals, one an arm (METRICS 10, rule 10)."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.palette import COLUMN, GREY, MM, looks, style
from analysis.figures.panels import key, short
from contrast.component import UserError

_BAR = 3.4  # mm


@dataclass(frozen=True)
class Importance:
    """What one knob of one arm (empty without arms) has of the importance of all its knobs, 0 to 1, with the interval `low` to `high`.

    `local`: the same among the better half of the candidates alone. `check`: by another method, None where it cannot judge the knob.
    """

    arm: str
    knob: str
    share: float
    low: float
    high: float
    local: float
    check: float | None


@style()
def importance(found: Sequence[Importance], candidates: int) -> Figure:
    """A group of bars a knob, the most important on top, a bar an arm, a whisker for the interval, a diamond for the check."""
    if not found:
        raise UserError("found = []: must hold the importance of a knob. Judge at least 10 candidates of an arm.")
    arms = list(looks(one.arm for one in found).items())
    best = {knob: max(one.share for one in found if one.knob == knob) for knob in dict.fromkeys(one.knob for one in found)}
    knobs = sorted(best, key=lambda knob: -best[knob])
    places = {knob: y for y, knob in enumerate(knobs)}
    figure = Figure(figsize=(COLUMN, (len(knobs) * (len(arms) * _BAR + 2.4) + 9) * MM), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(arms)
    for i, (arm, look) in enumerate(arms):
        for one in found:
            if one.arm == arm:
                y = places[one.knob] + (i - (len(arms) - 1) / 2) * height
                axes.barh(y, one.share, 0.85 * height, color=look.colour, alpha=0.55, lw=0)
                axes.plot((one.low, one.high), (y, y), color="black", lw=0.9, zorder=3)
                if one.check is not None:
                    axes.plot(one.check, y, "D", color="black", mfc="white", ms=3.2, mew=0.7, zorder=4)
    axes.set(ylim=(len(knobs) - 0.4, -0.6), yticks=range(len(knobs)), yticklabels=[short(knob.replace("_", " "), 78) for knob in knobs])
    axes.set_xlim(0, min(1.02, 1.06 * max(max(one.high, one.share, one.check or 0) for one in found)))
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="x", color=GREY, lw=0.3, alpha=0.4)
    axes.set_xlabel("share of the importance (PED-ANOVA)")
    words = f"{candidates} candidates; line: 95 % over candidates drawn again; diamond: fANOVA"
    key(figure, dict(arms) if any(arm for arm, _ in arms) else {}, words, "marker")
    return figure
