"""The table of paired differences to the baseline arm: which candidates are compared, and over which keys a mean is taken."""

import math
from collections.abc import Sequence
from dataclasses import replace

from analysis.measure import Measure
from analysis.report import compare
from analysis.table import Table
from sweeps import candidate as state
from sweeps.candidate import Replicate
from sweeps.picture import Family, named
from sweeps.population import Population
from sweeps.results import confirmed, headline, label


def differences_table(population: Population) -> Table | None:
    """Paired differences of every arm to the baseline: each headline metric, and the mean over each family's tasks.

    Of a search the best candidate of each arm is compared, however many of them are confirmed.
    """
    baseline = population.sweep.baseline
    compared = population.best(1) if population.phase == "search" else [c for c, _ in confirmed(population)]
    results = {c.label: c.of_phase("confirm") for c in compared}
    if baseline is None or not results.get(baseline):
        return None
    scores: dict[str, dict[str, dict[int, float]]] = {}
    made: dict[str, dict[str, dict[int, tuple[str, ...]]]] = {}
    for name, keys in _families(population).items():
        methods = {method: _by_seed(replicates, keys) for method, replicates in results.items()}
        if methods[baseline]:
            scores[name] = {method: seeds for method, seeds in methods.items() if set(seeds) & set(methods[baseline])}
            made[name] = {
                method: {r.seed: r.made_by(keys) for r in results[method] if r.seed in scores[name][method]} for method in scores[name]
            }
    table = compare(scores, baseline, f"Differences to {baseline}, paired by seed", made)
    if population.phase == "search":
        best = ", ".join(label(population, c) for c in compared)
        table = replace(table, footer=f"{table.footer}; of each arm the best of the search is compared: {best}")
    return table


def _families(population: Population) -> dict[str, list[str]]:
    """Each key alone, and before the keys of measures of one family, as pictures have them, their mean."""
    keys = headline(population)
    stages = {key: stage for c in population.candidates.values() for r in c.replicates for key, stage in r.stages.items()}
    of = {key: Family.of(key, stage) for key in keys if isinstance(stage := stages[key], Measure)}
    names = {family: name for name, family in named(dict.fromkeys(of.values())).items()}
    found: dict[str, list[str]] = {}
    for key in keys:
        family = [other for other in of if of[other] == of[key]] if key in of else []
        if len(family) > 1:
            found.setdefault(f"{names[of[key]]} (mean of {len(family)})", family)
        found[key] = [key]
    return found


def _by_seed(replicates: Sequence[Replicate], keys: Sequence[str]) -> dict[int, float]:
    """The mean over `keys` of each complete replicate that has all of them, by seed; one that is not finite is left out."""
    complete = [r for r in replicates if r.state == state.COMPLETE and all(key in r.metrics for key in keys)]
    means = {r.seed: sum(r.metrics[key] for key in keys) / len(keys) for r in complete}
    return {seed: mean for seed, mean in means.items() if math.isfinite(mean)}
