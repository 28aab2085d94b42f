"""What came out of a sweep, as tables: candidates, confirmed results, paired differences, time by class, status."""

import json
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from analysis.statistics import Interval, distinct, interval
from analysis.table import Cell, Table, to_rich
from sweeps import candidate as state
from sweeps.audit import in_words, stopping
from sweeps.budget import Budget, Spent, SpentFile
from sweeps.candidate import Candidate, Replicate, Unwritten
from sweeps.controller import Controller
from sweeps.event import number
from sweeps.forecast import Forecast
from sweeps.graph import DIVERGED, FAILED, HELD
from sweeps.launch_checks import searches
from sweeps.objective import best_first, matches
from sweeps.population import Population
from sweeps.store import Untouched, write_atomically
from sweeps.sweep import Sweep

FOOTER = "mean ± half-width of the 95 % t interval over seeds (n seeds)"


def adopted(sweep: Sweep, root: Path) -> Population:
    """The state of a sweep as its files and the store have it, to look at; nothing is drawn, run or written."""
    store = Untouched(root)
    store.check_format()
    return Population(
        sweep, store, Unwritten(root, sweep.name), searching=searches(sweep), check=lambda stages, phase: None, emit=lambda event: None
    )


def headline(population: Population) -> list[str]:
    """The metric keys that head tables and become MLflow metrics, in the order the space returns them."""
    keys = list(dict.fromkeys(key for c in population.candidates.values() for r in c.replicates for key in r.fingerprints))
    patterns = population.sweep.headline
    return [key for pattern in patterns for key in matches(pattern, keys)] if patterns else keys


def over_seeds(replicates: list[Replicate], key: str) -> Interval | str | None:
    """A metric's mean and interval over complete replicates, or that it is not finite in some of them; what seeds share counts once."""
    values = distinct((r.made_by([key]), r.metrics[key]) for r in replicates if r.state == state.COMPLETE and key in r.metrics)
    bad = sum(not math.isfinite(value) for value in values)
    if bad:
        return f"not finite in {bad} of {len(values)}"
    return interval(values) if values else None


def candidates_table(population: Population) -> Table:
    """Every candidate of the search, best first: state, seeds, objective, knobs."""
    sweep = population.sweep
    knobs = list(dict.fromkeys(name for c in population.candidates.values() for name in c.knobs))
    ordered = best_first(population.candidates.values(), sweep.objectives)
    rows: list[tuple[Cell, ...]] = []
    for c in [*ordered, *(c for c in population.candidates.values() if c.values is None or not c.feasible)]:
        rows.append((f"{c.number} {c.label}".strip(), _state(c), *judged(population, c), *(_cell(c.knobs.get(name)) for name in knobs)))
    footer = "; ".join(filter(None, (FOOTER, in_words(stopping(population)))))
    return Table(f"Candidates of {sweep.name}", ("candidate", "state", *(o.name for o in sweep.objectives), *knobs), tuple(rows), footer)


def _state(candidate: Candidate) -> str:
    """How a candidate ended, with what the race, the audit or a constraint had to do with it."""
    marks = (["raced out"] if candidate.raced else []) + (["audited"] if candidate.audited else [])
    marks += [] if candidate.feasible else ["infeasible"]
    return ", ".join([candidate.state, *marks])


def judged(population: Population, candidate: Candidate) -> list[Interval | float | None]:
    """A candidate's objectives as tables show them: a mean with its interval over the seeds that are complete, or its bound."""
    spread = zip(population.sweep.objectives, over_search(population, candidate), strict=True)
    values = candidate.values or [None for _ in population.sweep.objectives]
    return [value if objective.bound else found for (objective, found), value in zip(spread, values, strict=True)]


def over_search(population: Population, candidate: Candidate) -> list[Interval | None]:
    """Each objective over the seeds of the search that are complete; None if none has its key, or if it is not finite in one of them."""
    complete = [r for r in candidate.of_phase(population.phase) if r.state == state.COMPLETE]
    found = []
    for one in population.sweep.objectives:
        named = [(matches(one.pattern, r.metrics), r) for r in complete]
        found.append(one.spread([(r.made_by(names), one.of_seed(r.metrics)) for names, r in named if names]))
    return found


def _cell(value: Any) -> Cell:  # noqa: ANN401 (a knob)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def confirmed(population: Population) -> list[tuple[Candidate, list[Replicate]]]:
    """Candidates with their replicates of the confirm phase, in order of arm and number."""
    arms = len(population.sweep.arm_list)
    ordered = sorted(population.candidates.values(), key=lambda c: (c.number % arms, c.number))
    return [(c, c.of_phase("confirm")) for c in ordered if c.of_phase("confirm")]


def results_table(population: Population) -> Table:
    """The confirmed candidates, or the arms of a sweep that has nothing to choose: one column a headline metric."""
    keys = headline(population)
    rows: list[tuple[Cell, ...]] = []
    for c, replicates in confirmed(population):
        rows.append((label(population, c), *(over_seeds(replicates, key) for key in keys)))
    what = "confirmed on fresh seeds and the test split" if population.phase == "search" else "on the test split"
    return Table(f"Results of {population.sweep.name}, {what}", ("method", *keys), tuple(rows), FOOTER)


def label(population: Population, candidate: Candidate) -> str:
    """What tables and figures call a candidate: its arm, with its number where a search gives an arm several, its knobs on a grid."""
    if population.phase == "confirm" and population.studies[candidate.number % len(population.arms)].planned > 1:
        knobs = ", ".join(f"{name} = {number(value)}" for name, value in candidate.knobs.items())
        return f"{candidate.label}, {knobs}" if candidate.label else knobs
    if population.phase == "confirm":
        return candidate.label or "result"
    return f"{candidate.label} #{candidate.number}".strip()


def classes_table(population: Population) -> Table:
    """Stages by class: how many there are, how many of them this launch computed, and the time all of them took."""
    graph = population.graph
    names = list(dict.fromkeys(type(job.stage).__name__ for job in graph.jobs.values()))
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        jobs = [job for job in graph.jobs.values() if type(job.stage).__name__ == name and job.state in (HELD, DIVERGED)]
        records = [graph.store.held(job.stage, job.fingerprint) for job in jobs]
        computed = sum(job.fingerprint in graph.computed for job in jobs)
        rows.append((name, len(jobs), computed, len(jobs) - computed, sum(r.seconds for r in records if r is not None)))
    return Table(
        "Stages by class", ("class", "held", "computed now", "reused", "seconds"), tuple(rows), "seconds: wall time of all held stages"
    )


def save_launch(controller: Controller, root: Path) -> None:
    """Remember what this launch reused and computed, for `status`, and the classes of stages of each unit that a worker was given."""
    graph = controller.graph
    found = {"reused": len(graph.reused), "computed": len(graph.computed), "units": list(controller.units.values())}
    write_atomically(root / "sweeps" / controller.population.sweep.name / "launch.json", json.dumps(found))


def last_launch(root: Path, sweep: str) -> dict[str, Any] | None:
    """What the last launch remembered; None when there is nothing, or nothing that can be read: the next one writes it anew."""
    try:
        found = json.loads((root / "sweeps" / sweep / "launch.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    counted = isinstance(found, dict) and all(type(found.get(name)) is int for name in ("reused", "computed"))
    return found if counted else None


def status_of(sweep: Sweep, root: Path) -> dict[str, Any]:
    """How far a sweep is, as plain data."""
    population = adopted(sweep, root)
    spent, last = SpentFile(root, sweep.name).read()
    budget = sweep.budget or last
    jobs = population.graph.jobs.values()
    return {
        "sweep": sweep.name,
        "finished": population.nothing_left,
        "candidates": dict(Counter(c.state for c in population.candidates.values())),
        "planned": sum(study.planned for study in population.studies),
        "stages": {
            "held": sum(job.state == HELD for job in jobs),
            "diverged": sum(job.state == DIVERGED for job in jobs),
            "failed": sum(job.state == FAILED for job in jobs),
            "missing": sum(job.state not in (HELD, DIVERGED, FAILED) for job in jobs),
        },
        "stopping": stopping(population),
        "last_launch": last_launch(root, sweep.name),
        "spent": asdict(spent),
        "budget": None if budget is None else asdict(budget),
        "best": [
            {"candidate": c.number, "arm": c.label, "knobs": c.knobs, "values": valued(sweep, c), "n": c.n} for c in population.leading()
        ],
    }


def valued(sweep: Sweep, candidate: Candidate) -> dict[str, float]:
    """What a complete candidate was judged by, by name of the objective."""
    return dict(zip((objective.name for objective in sweep.objectives), candidate.values or (), strict=False))


def status_table(found: dict[str, Any]) -> RichTable:
    """The status as a two-column table."""
    table = RichTable(box=None, show_header=False, title=f"sweep {found['sweep']}", title_justify="left")
    candidates = ", ".join(f"{n} {name}" for name, n in found["candidates"].items()) or "none yet"
    table.add_row("candidates", f"{candidates} of {found['planned']}")
    table.add_row("stages", ", ".join(f"{n} {name}" for name, n in found["stages"].items()))
    if in_words(found["stopping"]):
        table.add_row("stopped early", in_words(found["stopping"]))
    if found["last_launch"] is not None:
        table.add_row("last launch", f"{found['last_launch']['reused']} stages reused, {found['last_launch']['computed']} computed")
    budget = None if found["budget"] is None else Budget(**found["budget"])
    table.add_row("spent", Spent(**found["spent"]).describe(budget))
    for best in found["best"]:
        values = ", ".join(f"{name} {value:.4g}" for name, value in best["values"].items())
        what = "best" if len(best["values"]) == 1 else "on the front"
        table.add_row(what, f"candidate {best['candidate']} {best['arm']}: {values} over {best['n']} seeds, {best['knobs']}")
    table.add_row("finished", "yes" if found["finished"] else "no")
    return table


def plan_table(sweep: Sweep, found: Forecast) -> Group:
    """The forecast for the terminal."""
    rows = tuple((r.stage, r.needed, r.held, r.missing, r.seconds, r.basis) for r in found.stages)
    shared = max(found.sharing.values(), default=0)
    footer = (
        f"a pretraining is shared by up to {shared} stages; guess: no record of a like stage yet; at most, since nothing is pruned here"
    )
    table = to_rich(Table(f"Plan of {sweep.name}", ("class", "needed", "held", "missing", "seconds", "basis"), rows, footer))
    on = f"{found.means.slots} slots" + (f", {found.means.gpus:g} GPUs" if found.means.gpus else "")
    price = "" if found.price is None else f"; price {found.price:g}"
    lines = [
        f"finished in at most {found.cost.hours:.3g} hours on {on}: {found.cost.core_hours:.3g} core-hours, "
        f"{found.cost.gpu_hours:.3g} GPU-hours{price}",
        f"disk: {found.disk['needed'] / 1e9:.3g} GB needed ({found.disk['basis']}), {found.disk['free'] / 1e9:.3g} GB free",
        *(f"warning: {warning}" for warning in found.warnings),
    ]
    return Group(table, *(Text(line, style="yellow" if line.startswith("warning") else "") for line in lines))


def one_table(name: str, metrics: dict[str, float]) -> Table:
    """The metrics of a single point."""
    return Table(f"One point of {name}", ("metric", "value"), tuple((key, value) for key, value in metrics.items()))
