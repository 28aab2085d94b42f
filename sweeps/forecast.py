"""What a sweep will run, before it runs: stages by class, what is held already, how long the rest takes.

Times come from the pace of recorded stages of the class, an epoch; where there are none the figure is a guess and is marked
as one. Candidates that were drawn keep their knobs, and those that were pruned or diverged want nothing more; the others
are forecast as if nothing were pruned, so the figures are an upper bound.
"""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from contrast.data.dataset import Phase
from contrast.pretrain import Pretrain
from contrast.stage import Stage
from sweeps import candidate as state
from sweeps.candidate import CandidateFiles, Saved
from sweeps.graph import DIVERGED, HELD, Graph, Job, all_stages
from sweeps.objective import ranked
from sweeps.search import fixed
from sweeps.store import Store
from sweeps.study import Study
from sweeps.sweep import Knob, Run, Sweep, call_across, call_space
from sweeps.warm_start import WarmStart, warm_start

# Seconds an epoch, or a whole measure: a ResNet-18 on CIFAR-10 on one GPU.
GUESSES = {"Pretrain": 20.0, "Finetune": 0.1, "Landscape": 60.0}
GUESS = 5.0


@dataclass(frozen=True)
class ClassForecast:
    """One class of stages: how many are needed, held and missing; expected `seconds` of the missing ones; "record" or "guess"."""

    stage: str
    needed: int
    held: int
    missing: int
    seconds: float
    basis: str

    def as_json(self) -> dict[str, Any]:
        """With `class` for the stage's name."""
        data = asdict(self)
        return {"class": data.pop("stage"), **data}


@dataclass(frozen=True)
class Forecast:
    """`sharing`: for each pretraining's fingerprint, how many results of candidates hang on it."""

    stages: tuple[ClassForecast, ...]
    sharing: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """The form that `plan --json` prints."""
        return {"stages": [row.as_json() for row in self.stages], "sharing": self.sharing}


def forecast(sweep: Sweep, store: Store, searching: bool) -> Forecast:
    """Unfold every candidate over all its seeds, and the confirmation, without running anything."""
    graph = Graph(store)
    leaves: Counter[str] = Counter()
    saved = CandidateFiles(store.root, sweep.name).read()
    warm = warm_start(sweep, store.root / "sweeps" / sweep.name)
    for number, stages in enumerate(_replicates(sweep, searching, saved, warm)):
        for stage in stages.values():
            reached = graph.want(stage, (number, "confirm", 0))
            leaves.update(identity for identity in reached if isinstance(graph.jobs[identity].stage, Pretrain))
    by_class: dict[str, list[Job]] = defaultdict(list)
    for job in graph.jobs.values():
        by_class[type(job.stage).__name__].append(job)
    order = sorted(by_class, key=lambda name: (name not in ("Pretrain", "Untrained", "Finetune"), name != "Pretrain", name))
    return Forecast(tuple(_row(name, by_class[name], graph) for name in order), dict(sorted(leaves.items())))


@dataclass(frozen=True)
class _Point:
    """A candidate, drawn or to be drawn: its knobs, and what its file says, if there is one."""

    knobs: dict[str, Knob]
    saved: Saved | None

    @property
    def over(self) -> bool:
        """Whether it wants nothing more."""
        return self.saved is not None and self.saved.state in (state.PRUNED, state.DIVERGED)

    @property
    def most(self) -> int | None:
        """How many seeds it gets; None: all."""
        return self.saved.n if self.raced and self.saved is not None else None

    @property
    def raced(self) -> bool:
        """Whether the race stopped it."""
        return self.saved is not None and self.saved.raced


def _replicates(sweep: Sweep, searching: bool, saved: dict[int, Saved], warm: WarmStart) -> list[dict[str, Stage]]:
    """The stages of every replicate."""
    found: list[dict[str, Stage]] = []
    runs: list[Run] = []
    for a, (label, arm) in enumerate(sweep.arm_list):
        points = _points(sweep, a, "search" if searching else "confirm", saved, warm)
        confirmed = [
            (point, seed) for point in (_best(sweep, points) if searching else points) for seed in _confirm_seeds(sweep, searching)
        ]
        if searching:
            going_on = [(point, seed) for point in points if not point.over for seed in sweep.seeds[: point.most]]
            found += [call_space(sweep, fixed(point.knobs), seed, "search", arm) for point, seed in going_on]
        for point, seed in confirmed:
            stages = call_space(sweep, fixed(point.knobs), seed, "confirm", arm)
            found.append(stages)
            runs.append(Run(label, point.knobs, seed, stages))
    return [*found, call_across(sweep, runs)]


def _confirm_seeds(sweep: Sweep, searching: bool) -> tuple[int, ...]:
    if not searching:
        return sweep.seeds
    return sweep.confirm.seeds if sweep.confirm is not None else ()


def _points(sweep: Sweep, a: int, phase: Phase, saved: dict[int, Saved], warm: WarmStart) -> list[_Point]:
    """The candidates of arm number `a`: those that have a file, then draws as if no result were known."""
    label, arm = sweep.arm_list[a]
    points: list[_Point] = []
    study = Study(sweep, arm, phase, warm.of(sweep, label, arm))
    for index in range(study.planned):
        before = saved.get(index * len(sweep.arm_list) + a)
        if before is not None and before.label == label and all(point.saved is not None for point in points):
            trial = fixed(before.knobs)
            call_space(sweep, trial, sweep.seeds[0], phase, arm)
            points.append(_Point(before.knobs, before))
            study.adopt(index, trial.params, trial.distributions, before.kept)
        else:
            points.append(_Point(study.draw(index).knobs, None))
    return points


def _best(sweep: Sweep, points: list[_Point]) -> list[_Point]:
    """The candidates of an arm that are confirmed; until all are judged the first ones stand for them."""
    top = sweep.confirm.top if sweep.confirm is not None else 0
    if any(point.saved is None or point.saved.state == state.OPEN for point in points):
        return [point for point in points if not point.over][:top]
    complete = [point for point in points if point.saved is not None and point.saved.values is not None and point.saved.feasible]
    order = ranked([point.saved.values for point in complete if point.saved and point.saved.values], sweep.objectives)
    return sorted((complete[i] for i in order), key=lambda point: point.raced)[:top]


def _row(name: str, jobs: list[Job], graph: Graph) -> ClassForecast:
    missing = [job for job in jobs if job.state not in (HELD, DIVERGED) and not _barred(job, graph)]
    held = sum(job.state in (HELD, DIVERGED) for job in jobs)
    paces = graph.store.paces(name)
    pace = sum(paces) / len(paces) if paces else GUESSES.get(name, GUESS)
    seconds = sum(pace * max(1, job.stage.length) for job in missing)
    return ClassForecast(name, held + len(missing), held, len(missing), round(seconds, 1), "record" if paces else "guess")


def _barred(job: Job, graph: Graph) -> bool:
    """Whether something that the job needs has diverged, so that it will never run."""
    return any(graph.jobs[graph.identity(stage)].state == DIVERGED for stage in all_stages(job.stage))
