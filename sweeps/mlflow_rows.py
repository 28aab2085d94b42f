"""What MLflow is told, as values: one run a candidate, one nested run a replicate, one summary of the sweep.

Rows follow from candidates and store alone. Every time in them comes from the names of attempts and from records: a stage's
metrics bear the time at which it first began, its epochs a millisecond each, so that an epoch repeated after a kill, or a
stage computed again, is the same row. Sending twice changes nothing, and a lost database is rebuilt equal.

A run has at most 40 metric keys, and which they are does not depend on how far it is. A replicate shows 24 results, those
of the sweep's headline first (all main results if it names none) and once it ends, and 16 curves by epoch, as many of each
training; a candidate the means over seeds, then their half-widths, then standard deviations. What is left out is counted in
a tag and stands in `results.json`. In a sweep that confirms, a candidate's means have the plain key where they come from
fresh seeds and the test split, and `search/<key>` where they come from the search, so that no column mixes the two.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from analysis.measure import Drawn, Measure
from analysis.statistics import distinct
from contrast.data.dataset import Phase
from contrast.model import Artefact
from contrast.stage import Stage
from sweeps import candidate as state
from sweeps.candidate import Candidate
from sweeps.graph import Graph
from sweeps.objective import Objective, matches
from sweeps.picture import Picture, pictures
from sweeps.points import CURVES, MOST_KEYS, Columns, Point, curves, fitted, over_seeds, single
from sweeps.population import Population
from sweeps.recipe import reached, recipe, text
from sweeps.standing import STOPPED, Begun, Result, Standing, begun_stages, results, standing
from sweeps.sweep import Sweep

STATUS = {
    state.OPEN: "RUNNING",
    state.COMPLETE: "FINISHED",
    state.PRUNED: "KILLED",
    STOPPED: "KILLED",
    state.DIVERGED: "FAILED",
    state.FAILED: "FAILED",
}
File = bytes | Path | Picture


@dataclass(frozen=True)
class RunRows:
    """One MLflow run: `key` finds it again, `start` and `end` are milliseconds since 1970, `files` artefacts by path."""

    key: str
    parent: str | None
    name: str
    status: str
    start: int
    end: int | None
    params: dict[str, str]
    metrics: tuple[Point, ...]
    tags: dict[str, str]
    files: dict[str, File] = field(default_factory=dict)


def run_rows(sweep: Sweep, candidate: Candidate, graph: Graph) -> list[RunRows]:
    """The runs of a candidate, its own first; none before the first of its seeds began, since a run's start cannot be changed.

    Step n of a candidate's means is taken over the first n of its seeds that are complete, in the order declared, where a stage that
    several seeds share counts once.
    """
    seeds = [standing(candidate, replicate, graph) for replicate in candidate.replicates]
    if not seeds or not seeds[0].begun:
        return []
    return [_candidate_rows(sweep, candidate, seeds), *(_replicate_rows(sweep, candidate, one, graph) for one in seeds if one.begun)]


def summary_rows(population: Population, page: Path | None = None) -> list[RunRows]:
    """The run of the sweep as a whole: what compares all replicates, the study, and all files of the report around `page`."""
    sweep, graph = population.sweep, population.graph
    candidates = [population.candidates[number] for number in sorted(population.candidates)]
    runs = [run for c in candidates for run in run_rows(sweep, c, graph)[:1]]
    if not runs or runs[0].key != _key(sweep, candidates[0]):
        return []
    begun = begun_stages(population.finals.across.values(), graph)
    found = results(population.finals.across, begun)
    fit = fitted((single(found, found), MOST_KEYS))
    bad = any(graph.jobs[graph.identity(stage)].state in (state.DIVERGED, state.FAILED) for stage in population.finals.across.values())
    verdict = state.FAILED if bad else state.COMPLETE if population.finished_all else state.OPEN
    study = [_judged(candidate) for candidate in candidates]
    owners = {stage: (_method(c), r.seed) for c in candidates for r in c.of_phase("confirm") for stage in reached(r.stages.values())}
    files: dict[str, File] = {"study.json": _json(study), "results.json": _json({"results": _plain_results(found)})}
    files |= pictures(_drawn(population.finals.across, begun, graph, ("", 0), owners))
    if page is not None:
        files |= {f"report/{path.relative_to(page.parent)}": path for path in sorted(page.parent.rglob("*")) if path.is_file()}
    tags = {"sweep": sweep.name, "state": verdict, "mlflow.note.content": sweep.question}
    tags |= {f"stage.{key}": f"{type(stage).__name__}/{graph.identity(stage)}" for key, stage in population.finals.across.items()}
    tags |= _addresses(population.finals.across, begun, graph) | fit.tags
    if sweep.objectives:
        tags["front" if sweep.several else "best"] = ", ".join(str(c.number) for c in population.leading())
    ended = [one.ended for one in begun.values()] + [run.end for run in runs if run.end is not None]
    end = None if verdict == state.OPEN else max(ended)
    return [RunRows(f"{sweep.name}/summary", None, "summary", STATUS[verdict], runs[0].start, end, {}, fit.points, tags, files)]


def headline(sweep: Sweep, stages: Mapping[str, Stage], names: Iterable[str]) -> list[str]:
    """The metric names that are shown first: those of the sweep's patterns, or the main result of every key."""
    known = list(dict.fromkeys(names))
    if sweep.headline:
        return list(dict.fromkeys(name for pattern in sweep.headline for name in matches(pattern, known)))
    return [name for name in known if name in stages]


def _candidate_rows(sweep: Sweep, candidate: Candidate, seeds: Sequence[Standing]) -> RunRows:
    objectives = _objectives(sweep, seeds)
    shown = 3 * max(1, len(sweep.objectives))
    room = max(0, MOST_KEYS - shown) // (2 if sweep.confirm is not None else 1)
    phases = {phase: complete for phase in ("confirm", "search") if (complete := _complete(seeds, phase))}
    fit = fitted((objectives, min(shown, MOST_KEYS)), *((_means(sweep, complete), room) for complete in phases.values()))
    status = "RUNNING" if any(one.verdict == state.OPEN for one in seeds) else STATUS[candidate.state]
    tags = _tags(sweep, candidate, candidate.state, next((one.reason for one in seeds if one.reason), "")) | fit.tags
    tags |= {f"constraint/{i}": f"{name}: {_kept(broken)}" for i, (name, broken) in enumerate(candidate.violations.items(), 1)}
    tags |= {key: f"{one.direction} {one.name}" for key, one in zip(_objective_keys(sweep), sweep.objectives, strict=True)}
    tables = {phase: [{"seed": o.replicate.seed, **_plain_results(o.results)} for o in complete] for phase, complete in phases.items()}
    files: dict[str, File] = {"results.json": _json({"seeds": tables, "left_out": _plain_columns(fit.left_out)})}
    end = None if status == "RUNNING" else max(one.end for one in seeds if one.begun)
    name = f"{candidate.number:05d} {candidate.label}".strip()
    return RunRows(_key(sweep, candidate), None, name, status, seeds[0].start, end, _point(candidate), fit.points, tags, files)


def _replicate_rows(sweep: Sweep, candidate: Candidate, one: Standing, graph: Graph) -> RunRows:
    replicate = one.replicate
    main = {} if one.verdict == state.OPEN else single(one.results, headline(sweep, replicate.stages, one.results))
    first, others = curves(one)
    fit = fitted((main, MOST_KEYS - CURVES), (first, CURVES), (others, 0))
    tags = _tags(sweep, candidate, one.verdict, one.reason) | _addresses(replicate.stages, one.begun, graph) | fit.tags
    tags |= {f"stage.{name}": f"{type(stage).__name__}/{graph.identity(stage)}" for stage, name in one.names.items()}
    params = recipe(replicate.stages) | _point(candidate) | {"seed": str(replicate.seed), "phase": replicate.phase}
    files: dict[str, File] = {"results.json": _json({"results": _plain_results(one.results), "left_out": _plain_columns(fit.left_out)})}
    if one.verdict == state.COMPLETE and not _prefix(sweep, replicate.phase):
        files |= pictures(_drawn(replicate.stages, one.begun, graph, (_method(candidate), replicate.seed), {}))
    key = f"{_key(sweep, candidate)}/{replicate.phase}/seed-{replicate.seed}"
    name = f"{candidate.number:05d} {replicate.phase} seed {replicate.seed}"
    end = None if one.verdict == state.OPEN else one.end
    return RunRows(key, _key(sweep, candidate), name, STATUS[one.verdict], one.start, end, params, fit.points, tags, files)


def _means(sweep: Sweep, complete: Sequence[Standing]) -> Columns:
    """The headline of one phase over seeds: all means, then all half-widths, then all standard deviations; what seeds share counts once."""
    by_name = {
        name: distinct((one.replicate.made_by([name]), one.results[name]) for one in complete if name in one.results)
        for name in complete[0].results
    }
    prefix = _prefix(sweep, complete[0].replicate.phase)
    spread = [over_seeds(prefix + name, by_name[name]) for name in headline(sweep, complete[0].replicate.stages, by_name)]
    return {key: column for kind in zip(*spread, strict=True) for one in kind for key, column in one.items()}


def _key(sweep: Sweep, candidate: Candidate) -> str:
    return f"{sweep.name}/{candidate.number:05d}"


def _point(candidate: Candidate) -> dict[str, str]:
    """Knobs and arm; the axes one by one where there are several."""
    axes = {f"arm.{axis}": str(value) for axis, value in candidate.arm.items()} if len(candidate.arm) > 1 else {}
    label = {"arm": candidate.label} if candidate.label else {}
    return {name: text(value, {}) for name, value in candidate.knobs.items()} | label | axes


def _tags(sweep: Sweep, candidate: Candidate, verdict: str, reason: str) -> dict[str, str]:
    return {"sweep": sweep.name, "candidate": str(candidate.number), "arm": candidate.label, "state": verdict, "reason": reason}


def _judged(candidate: Candidate) -> dict[str, object]:
    """A candidate as a line of the study; only a complete one has values."""
    values = None if candidate.values is None else [_plain(value) for value in candidate.values]
    drawn = {"number": candidate.number, "arm": candidate.label, "knobs": candidate.knobs}
    return drawn | {"state": candidate.state, "values": values, "feasible": candidate.feasible}


def _method(candidate: Candidate) -> str:
    """What figures call a candidate: its arm, with its number where an arm may have several."""
    number = f"#{candidate.number}" if candidate.of_phase("search") or candidate.knobs else ""
    return f"{candidate.label} {number}".strip() or "result"


def _prefix(sweep: Sweep, phase: Phase) -> str:
    return "search/" if phase == "search" and sweep.confirm is not None else ""


def _complete(seeds: Sequence[Standing], phase: Phase) -> list[Standing]:
    """The complete replicates of a phase before the first open one, so that step n always means the same seeds."""
    settled = takewhile(lambda one: one.verdict != state.OPEN, (one for one in seeds if one.replicate.phase == phase))
    return [one for one in settled if one.verdict == state.COMPLETE]


def _kept(violation: float) -> str:
    return "kept" if violation <= 0 else f"broken by {violation:.4g}"


def _objective_keys(sweep: Sweep) -> list[str]:
    """`objective`, or `objective/1`, `objective/2`, ... of several."""
    return ["objective"] if len(sweep.objectives) == 1 else [f"objective/{i}" for i in range(1, len(sweep.objectives) + 1)]


def _objectives(sweep: Sweep, seeds: Sequence[Standing]) -> Columns:
    """What the search judged: of each objective the mean (or its bound), half-width and standard deviation."""
    complete = _complete(seeds, seeds[0].replicate.phase)
    found: Columns = {}
    for key, objective in zip(_objective_keys(sweep), sweep.objectives, strict=True):
        made = [
            (
                one.replicate.made_by(names),
                Result(objective.of_seed({k: v.value for k, v in one.results.items()}), max(r.began for r in one.results.values())),
            )
            for one in complete
            if (names := matches(objective.pattern, one.results))
        ]
        values = [value for _, value in made]  # what was judged is over all seeds; what is shared has no spread
        judged, (_, half, sd) = over_seeds(key, values)[0], over_seeds(key, values if objective.bound else distinct(made))
        if objective.bound:
            judged = {key: [bounded for point in judged[key] if (bounded := _bounded(objective, point, values)) is not None]}
        found |= judged | half | sd
    return found


def _bounded(objective: Objective, point: Point, values: Sequence[Result]) -> Point | None:
    """The bound in place of the mean of the first `point.step` seeds; None for one seed, which has none."""
    return point._replace(value=objective.over_seeds([one.value for one in values[: point.step]])) if point.step > 1 else None


def _drawn(
    stages: Mapping[str, Stage], begun: Mapping[Stage, Begun], graph: Graph, who: tuple[str, int], owners: Mapping[Stage, tuple[str, int]]
) -> Iterator[tuple[str, Drawn, Artefact]]:
    """The finished measures as a figure sees them, without their arrays, and where these lie; stages not owned are `who`'s."""
    for key, stage in stages.items():
        if isinstance(stage, Measure) and stage in begun and begun[stage].record is not None:
            artefact = graph.store.artefact(stage, graph.identity(stage))
            of = tuple(owners.get(measured, who) for measured in stage.of) if isinstance(stage.of, tuple) else ()
            yield key, Drawn(who[0], key.partition("/")[2], who[1], artefact.results, {}, stage, of), artefact


def _addresses(stages: Mapping[str, Stage], begun: Mapping[Stage, Begun], graph: Graph) -> dict[str, str]:
    """Where the arrays of finished stages lie below the root."""
    held = {key: (stage, begun[stage].record) for key, stage in stages.items() if stage in begun}
    return {
        f"arrays.{key}": f"store/{type(stage).__name__}/{graph.identity(stage)}/{record.attempt}/arrays.npz"
        for key, (stage, record) in held.items()
        if record is not None and "arrays.npz" in record.files
    }


def _plain(value: float | None) -> float | str | None:
    """A number as JSON can say it."""
    return value if value is None or math.isfinite(value) else str(value)


def _plain_results(found: Mapping[str, Result]) -> dict[str, float | str | None]:
    return {name: _plain(result.value) for name, result in found.items()}


def _plain_columns(columns: Columns) -> dict[str, list[tuple[int, float | str | None]]]:
    return {key: [(point.step, _plain(point.value)) for point in column] for key, column in columns.items()}


def _json(data: object) -> bytes:
    return json.dumps(data, indent=1).encode()
