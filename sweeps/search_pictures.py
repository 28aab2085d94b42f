"""What a search says of the space it searched: fronts, knobs one by one and together, what matters, and what the budget bought."""

import math
from collections.abc import Sequence

from analysis.figures.expected_maximum import best_by_budget
from analysis.figures.importance import importance as importance_figure
from analysis.figures.parallel_coordinates import parallel_coordinates
from analysis.figures.pareto import Axis, Placed, pareto
from analysis.figures.slices import Judged, slices
from analysis.measure import Measure
from analysis.report import Picture
from analysis.table import Cell, Table
from sweeps import candidate as state
from sweeps.candidate import Candidate
from sweeps.importance import Ended, importance
from sweeps.population import Population
from sweeps.results import over_search

_ENDED = (state.COMPLETE, state.PRUNED, state.DIVERGED)


def search_pictures(population: Population) -> list[Picture]:
    """The figures of a search that has a candidate, in the order of the report."""
    drawn = (_front, _slices, _together, _importance, _budget)
    return [picture for draw in drawn for picture in draw(population)]


def _front(population: Population) -> list[Picture]:
    """Several objectives against each other."""
    shown = [c for c in population.candidates.values() if c.values is not None]
    if not population.sweep.several or not shown:
        return []
    leading = {c.number for c in population.leading()}
    placed = [Placed(c.label, c.values or (), c.number in leading, c.feasible) for c in shown]
    figure = pareto(placed, [Axis(objective.name, objective.sign > 0) for objective in population.sweep.objectives])
    caption = "What one objective costs in another; means over the seeds of the search, held-out part of train."
    columns = ("arm", "front", "feasible", *(objective.name for objective in population.sweep.objectives))
    rows: tuple[tuple[Cell, ...], ...] = tuple((one.arm, one.front, one.feasible, *one.values) for one in placed)
    return [Picture("front", figure, caption, Table(caption, columns, rows))]


def _slices(population: Population) -> list[Picture]:
    """Each objective against the knobs."""
    ordered = list(population.candidates.values())
    best = [] if population.sweep.several else population.best(1)
    ring = ordered.index(best[0]) if len(best) == 1 else None
    pictures = []
    for i, objective in enumerate(population.sweep.objectives):
        judged = [Judged(c.label, c.knobs, over_search(population, c)[i]) for c in ordered]
        if any(one.objective is not None for one in judged):
            caption = f"{objective.pattern} against each knob; seeds of the search, held-out part of train."
            pictures.append(
                Picture(_named("knobs", i), slices(judged, objective.pattern, ring), caption, _table(judged, objective.pattern))
            )
    return pictures


def _together(population: Population) -> list[Picture]:
    """All knobs of each candidate as one line, where there are several."""
    pictures = []
    for i, objective in enumerate(population.sweep.objectives):
        judged = [Judged(c.label, c.knobs, over_search(population, c)[i]) for c in population.candidates.values()]
        if any(one.objective is not None for one in judged) and len({name for one in judged for name in one.knobs}) > 1:
            figure = parallel_coordinates(judged, objective.pattern, maximize=objective.sign > 0)
            caption = f"The knobs of each candidate, and {objective.pattern}; seeds of the search, held-out part of train."
            pictures.append(Picture(_named("candidates", i), figure, caption, _table(judged, objective.pattern)))
    return pictures


def _table(judged: Sequence[Judged], objective: str) -> Table:
    """A row a candidate: its arm, its knobs, and what it was judged by, empty where it was not."""
    knobs = tuple(dict.fromkeys(knob for one in judged for knob in one.knobs))
    rows = tuple((one.arm, *(one.knobs.get(knob) for knob in knobs), one.objective) for one in judged)
    return Table(objective, ("arm", *knobs, objective), rows)


def _importance(population: Population) -> list[Picture]:
    """How much each knob matters, an arm at a time, once there are candidates enough to say."""
    pictures = []
    for i, objective in enumerate(population.sweep.objectives):
        arms = _by_arm(population)
        found = [
            one
            for arm, mine in arms.items()
            for one in importance([Ended(c.knobs, c.distributions, _standing(population, c, i)) for c in mine], arm)
        ]
        if found:
            judged = {one.arm for one in found}
            figure = importance_figure(found, sum(len(mine) for arm, mine in arms.items() if arm in judged))
            caption = f"Importance of the knobs for {objective.name}: being among the best tenth, at least five, of an arm's candidates."
            columns = ("arm", "knob", "PED-ANOVA", "low", "high", "PED-ANOVA in the better half", "fANOVA")
            rows = tuple((one.arm, one.knob, one.share, one.low, one.high, one.local, one.check) for one in found)
            pictures.append(Picture(_named("importance", i), figure, caption, Table(caption, columns, rows)))
    return pictures


def _budget(population: Population) -> list[Picture]:
    """How good the best is by the number of candidates, arm by arm."""
    pictures = []
    for i, objective in enumerate(population.sweep.objectives):
        values = {arm: [_value(c, i) for c in mine] for arm, mine in _by_arm(population).items()}
        shown = {arm: mine for arm, mine in values.items() if len(mine) > 1 and any(map(math.isfinite, mine))}
        if shown:
            figure = best_by_budget(shown, objective.name, maximize=objective.sign > 0)
            caption = f"The expected best {objective.name} of so many candidates, in the search: what chose them also flatters them."
            rows = tuple((arm, number, value) for arm, mine in shown.items() for number, value in enumerate(mine))
            pictures.append(Picture(_named("budget", i), figure, caption, Table(caption, ("arm", "candidate", objective.name), rows)))
    return pictures


def _named(name: str, i: int) -> str:
    """The name of a picture of objective `i`."""
    return name if i == 0 else f"{name}-{i + 1}"


def _by_arm(population: Population) -> dict[str, list[Candidate]]:
    """The candidates that ended as complete, pruned or diverged, by arm, in order of their draw."""
    found: dict[str, list[Candidate]] = {}
    for c in population.candidates.values():
        if c.state in _ENDED:
            found.setdefault(c.label, []).append(c)
    return found


def _value(c: Candidate, i: int) -> float:
    return math.nan if c.values is None or not c.feasible else c.values[i]


def _standing(population: Population, c: Candidate, i: int) -> tuple[float, ...]:
    """Complete ones by their value; behind them those that were pruned, by their last report; then those that diverged."""
    value, sign = _value(c, i), population.sweep.objectives[i].sign
    if math.isfinite(value):
        return (2.0, sign * value)
    if c.state == state.PRUNED and c.intermediate:
        return (1.0, sign * c.intermediate[max(c.intermediate)] if _reported_in_its_direction(population, c) else 0.0)
    return (0.0, 0.0)


def _reported_in_its_direction(population: Population, c: Candidate) -> bool:
    """Whether a better report was a better candidate; of a signal without labels that is learned, and may turn round."""
    monitor = c.replicates[0].stages.get(population.sweep.monitor or "")
    return not (isinstance(monitor, Measure) and monitor.label_free)
