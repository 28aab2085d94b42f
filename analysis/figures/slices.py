"""The objective against each knob, one panel a knob: where in the space the good candidates lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.palette import GREY, Look, looks, style
from analysis.figures.panels import key, plain_log, seeds_in_words, sheet, short, told_apart, width_of
from analysis.statistics import Interval

Knob = float | int | str | bool | None
_LOG_SPAN = 20
_CHOICES = 5
_WIDTH = 85  # points of a panel


@dataclass(frozen=True)
class Judged:
    """One candidate: its arm (empty without arms), its knobs, its objective over seeds, or None where it was pruned or diverged."""

    arm: str
    knobs: Mapping[str, Knob]
    objective: Interval | None


@dataclass(frozen=True)
class Scale:
    """How one knob's values become positions on an axis: numbers as they are, or by rank among few or unordered choices."""

    choices: tuple[Knob, ...]
    log: bool

    def position(self, value: Knob) -> float:
        """The place of `value` on the axis."""
        return float(self.choices.index(value)) if self.choices else float(value)  # type: ignore[arg-type]


def scale_of(values: Sequence[Knob]) -> Scale:
    """Words and up to five distinct values stand side by side in order; more numbers get an axis, log if they span over 20 times."""
    distinct = list(dict.fromkeys(values))
    numbers = [value for value in distinct if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(distinct) or len(distinct) <= _CHOICES:
        words = [value for value in distinct if value not in numbers or isinstance(value, bool)]
        return Scale((*sorted(numbers), *sorted(words, key=str)), log=False)
    return Scale((), log=min(numbers) > 0 and max(numbers) > _LOG_SPAN * min(numbers))


def names_of(choices: Sequence[Knob]) -> list[str]:
    """The values of a knob as tick labels: three significant digits, words cut to 40 points."""
    words = told_apart((str(value) for value in choices), 40)
    return [f"{value:.3g}" if isinstance(value, float) else words[str(value)] for value in choices]


def upright(names: Sequence[str], width: int | float) -> bool:
    """Whether names at equal distances find no room side by side in `width` points."""
    return max(map(width_of, names), default=0.0) + 4 > width / max(len(names), 1)


@style()
def slices(candidates: Sequence[Judged], objective: str, best: int | None = None) -> Figure:
    """`objective` (name and unit) against each knob: a marker a candidate, a bar for the 95 % half-width from three seeds on.

    Candidates without an objective are ticks at the bottom; `best`, an index into `candidates`, has a ring. Candidates of
    one choice stand side by side in order of their draw.
    """
    knobs = list(dict.fromkeys(knob for one in candidates for knob in one.knobs))
    arms = looks(one.arm for one in candidates)
    scales = [scale_of([one.knobs[knob] for one in candidates if knob in one.knobs]) for knob in knobs]
    turned = 14 if any(upright(names_of(scale.choices), _WIDTH) for scale in scales) else 0
    figure, panels = sheet(len(knobs), turned + (32 if len(knobs) > 1 else 46), sharex=False)
    for axes, knob, scale in zip(panels, knobs, scales, strict=True):
        _axis(axes, scale)
        for number, one in enumerate(candidates):
            if knob in one.knobs:
                aside = 0.6 * (number / len(candidates) - 0.5) if scale.choices else 0.0
                _point(axes, scale.position(one.knobs[knob]) + aside, one.objective, arms[one.arm], ring=number == best)
        if scale.log:
            plain_log(axes, "x")
        axes.set_xlabel(short(knob, 100))
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(low - 0.12 * (high - low), high)  # room for the ticks; the panels share their y axis
    figure.supylabel(objective)
    key(figure, arms if any(arms) else {}, _words(candidates, best), "marker")
    return figure


def _point(axes: Axes, x: float, objective: Interval | None, look: Look, *, ring: bool) -> None:
    if objective is None:
        axes.plot(x, 0.04, "|", color=look.colour, ms=5, mew=0.9, transform=axes.get_xaxis_transform())
        return
    if objective.half is not None and not objective.points_only:
        axes.errorbar(x, objective.mean, yerr=objective.half, color=look.colour, lw=0.7, alpha=0.7, zorder=2)
    axes.plot(x, objective.mean, look.marker, color=look.colour, ms=3.6, mec="white", mew=0.4, zorder=3)
    if ring:
        axes.plot(x, objective.mean, "o", color="none", ms=7.5, mec="black", mew=0.9, zorder=4)


def _axis(axes: Axes, scale: Scale) -> None:
    if scale.choices:
        names = names_of(scale.choices)
        axes.set_xticks(np.arange(len(names)), names, rotation=90 if upright(names, _WIDTH) else 0)
        axes.set_xlim(-0.5, len(scale.choices) - 0.5)
    elif not scale.log:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", color=GREY, lw=0.3, alpha=0.3)


def _words(candidates: Sequence[Judged], best: int | None) -> str:
    seen = [one.objective for one in candidates if one.objective is not None]
    parts = [f"{len(candidates)} candidates"]
    if seen:
        parts.append(f"marker: mean of {seeds_in_words([one.n for one in seen])}")
    if any(not one.points_only for one in seen):
        parts.append("bar: 95 % t interval")
    if len(seen) < len(candidates):
        parts.append(f"ticks at the bottom: {len(candidates) - len(seen)} pruned or diverged")
    return "; ".join(parts + (["ring: the best"] if best is not None else []))
