"""Candidates by two objectives at a time: what one objective costs in the other, and who is dominated by nobody."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.palette import GREY, Look, looks, style
from analysis.figures.panels import bottom_label, filled, key, sheet, short
from contrast.component import UserError


@dataclass(frozen=True)
class Axis:
    """One objective: its name and unit, and whether more of it is better."""

    name: str
    maximize: bool

    @property
    def label(self) -> str:
        """In lines of at most 25 mm, for an axis 38 mm long, with an arrow to the better end."""
        lines = [short(line, 72) for line in filled(self.name.split(), 72)]
        return "\n".join(lines) + (" ↑" if self.maximize else " ↓")


@dataclass(frozen=True)
class Placed:
    """One candidate: its arm (empty without arms), a value an objective, whether nobody dominates it, and it keeps all constraints."""

    arm: str
    values: tuple[float, ...]
    front: bool
    feasible: bool = True


@style()
def pareto(candidates: Sequence[Placed], axes_of: Sequence[Axis]) -> Figure:
    """A panel for each further objective against the first: full markers on the front, hollow ones dominated, crosses infeasible.

    With two objectives the front of each arm is a staircase: no candidate of the arm lies on its good side. With more, the
    front is that of all of them, so a panel alone does not show why a candidate is on it.
    """
    if not candidates or len(axes_of) < 2:
        raise UserError(f"candidates = {len(candidates)}, objectives = {len(axes_of)}: must be at least 1 and 2. Judge some.")
    arms = looks(one.arm for one in candidates)
    figure, panels = sheet(len(axes_of) - 1, 46 if len(axes_of) == 2 else 38, sharey=False)
    for i, axes in enumerate(panels, 1):
        for one in sorted(candidates, key=lambda one: one.front):
            _point(axes, one, i, arms[one.arm])
        if len(axes_of) == 2:
            for arm, look in arms.items():
                _stairs(axes, [one for one in candidates if one.arm == arm and one.front], axes_of[0], look)
        axes.set_ylabel(axes_of[i].label)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.grid(color=GREY, lw=0.3, alpha=0.3)
    bottom_label(panels, axes_of[0].label)
    key(figure, arms if any(arms) else {}, _words(candidates), "marker")
    return figure


def _point(axes: Axes, one: Placed, i: int, look: Look) -> None:
    marker = look.marker if one.feasible else "x"
    face = look.colour if one.front else "white"
    axes.plot(one.values[0], one.values[i], marker, color=look.colour, mfc=face, ms=4.0, mew=0.8, zorder=3 if one.front else 2)


def _stairs(axes: Axes, front: Sequence[Placed], first: Axis, look: Look) -> None:
    found = sorted(one.values for one in front)
    if len(found) > 1:
        xs, ys = zip(*found, strict=True)
        axes.step(xs, ys, where="pre" if first.maximize else "post", color=look.colour, ls=look.line, lw=0.8, zorder=1)


def _words(candidates: Sequence[Placed]) -> str:
    front, broken = sum(one.front for one in candidates), sum(not one.feasible for one in candidates)
    parts = [f"{len(candidates)} candidates", f"full: {front} that no other of their arm dominates"]
    if front + broken < len(candidates):
        parts.append("hollow: dominated")
    parts.append("arrows: to the better")
    return "; ".join(parts + ([f"cross: {broken} break a constraint"] if broken else []))
