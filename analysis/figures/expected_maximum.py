"""The expected best of a search against the number of trials, a line an arm: which method wins depends on the budget."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.palette import GREY, looks, style
from analysis.figures.panels import key, sheet, wrapped
from analysis.statistics import expected_maximum
from contrast.component import UserError


@style()
def best_by_budget(trials: Mapping[str, Sequence[float]], objective: str, *, maximize: bool = True) -> Figure:
    """`trials` by arm (empty without arms): the value of each, not finite where it was pruned or diverged; `objective` with its unit.

    The band, from three trials on, is that of trials drawn again, pointwise.
    """
    if not trials:
        raise UserError("trials = {}: must hold an arm with a finite value. Wait until a candidate is complete.")
    look = looks(trials)
    figure, (axes,) = sheet(1, 48)
    for arm, values in trials.items():
        found, shape = expected_maximum(values, maximize=maximize), look[arm]
        if len(values) > 2:
            axes.fill_between(found.budgets, found.low, found.high, color=shape.colour, alpha=0.18, lw=0, zorder=1)
        every = max(1, len(found.budgets) // 6)
        axes.plot(found.budgets, found.mean, color=shape.colour, ls=shape.line, marker=shape.marker, markevery=every, zorder=3)
    axes.set_xlabel("candidates tried")
    axes.set_ylabel(wrapped(f"expected best of {objective}", 100))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y", color=GREY, lw=0.3, alpha=0.3)
    counts = [len(values) for values in trials.values()]
    n = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"
    words = f"all choices among {n} candidates; band: 95 % over candidates drawn again, too narrow at the right end"
    key(figure, look if any(trials) else {}, words)
    return figure
