"""Pictures that need two families of measures at once: alignment against uniformity, and signals against what is judged."""

import math
from collections.abc import Sequence

import numpy as np

from analysis import Alignment, Uniformity
from analysis.figures.data import data
from analysis.figures.plane import alignment_uniformity
from analysis.figures.signals import signal
from analysis.measure import Drawn, Measure
from analysis.report import Picture
from analysis.table import Table
from contrast.data.dataset import Dataset
from contrast.stage import Stage
from sweeps import candidate as state
from sweeps.objective import matches
from sweeps.population import Population
from sweeps.results import over_search

Named = Sequence[tuple[str, Sequence[Drawn]]]


def planes(families: Named) -> list[Picture]:
    """A plane for every family of `Alignment` and the first of `Uniformity` that reads the same stages at the same place."""
    pictures = []
    for name, drawn in families:
        where = _where(drawn, Alignment)
        other = next((each for _, each in families if where and where & _where(each, Uniformity)), None)
        if other is not None:
            caption = "Alignment and uniformity of each run, from the measures of both; both are better where they are smaller."
            pictures.append(Picture(f"{name}-plane", alignment_uniformity(drawn, other), caption, data([*drawn, *other], name)))
    return pictures


def _where(drawn: Sequence[Drawn], kind: type[Alignment | Uniformity]) -> set[tuple[Stage | tuple[Stage, ...], Dataset, str | None]]:
    """Of which stages, on which images and at which place the measures of `kind` are."""
    return {(one.measure.of, one.measure.on, one.measure.at) for one in drawn if isinstance(one.measure, kind)}


def against_objective(population: Population) -> list[Picture]:
    """Each label-free measure that the space returns, against the first objective, a dot for each judged candidate."""
    if not population.sweep.objectives:
        return []
    objective = population.sweep.objectives[0]
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for c in population.candidates.values():
        judged = over_search(population, c)[0]
        complete = [r for r in c.of_phase(population.phase) if r.state == state.COMPLETE]
        if judged is None or not complete:
            continue
        for key in _label_free(complete[0].stages).difference(matches(objective.pattern, complete[0].metrics)):
            value = float(np.mean([r.metrics[key] for r in complete]))
            if math.isfinite(value):
                found.setdefault(key, {}).setdefault(c.label, []).append((value, judged.mean))
    caption = "over the candidates of the search: whether the label-free signal orders them as the objective does."
    pictures = []
    for key, arms in sorted(found.items()):
        figure = signal({arm: np.array(each) for arm, each in arms.items()}, key, objective.name)
        rows = tuple((arm, *values) for arm, each in arms.items() for values in each)
        pictures.append(Picture(f"{key}-signal", figure, f"{key} {caption}", Table(key, ("arm", key, objective.name), rows)))
    return pictures


def _label_free(stages: dict[str, Stage]) -> set[str]:
    return {key for key, stage in stages.items() if isinstance(stage, Measure) and stage.label_free}
