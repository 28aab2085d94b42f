"""What a sweep will run, before it runs: stages by class, what is held already, how long the rest takes.

Times come from records of like stages; where there are none the figure is a guess and is marked as one. An adaptive sweep
is forecast as if nothing were pruned, so it is an upper bound.
"""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from contrast.pretrain import Pretrain
from contrast.stage import Stage
from sweeps.graph import HELD, Graph, Job
from sweeps.search import Told, draw, fixed
from sweeps.store import Store
from sweeps.sweep import Run, Sweep, call_space

GUESS_SECONDS = {"Pretrain": 60.0, "Finetune": 2.0, "Landscape": 30.0}
GUESS_MEASURE = 1.0


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
    for number, stages in enumerate(_replicates(sweep, searching)):
        for stage in stages.values():
            reached = graph.want(stage, (number, "confirm", 0))
            leaves.update(identity for identity in reached if isinstance(graph.jobs[identity].stage, Pretrain))
    by_class: dict[str, list[Job]] = defaultdict(list)
    for job in graph.jobs.values():
        by_class[type(job.stage).__name__].append(job)
    order = sorted(by_class, key=lambda name: (name not in ("Pretrain", "Untrained", "Finetune"), name != "Pretrain", name))
    return Forecast(tuple(_row(name, by_class[name], store) for name in order), dict(sorted(leaves.items())))


def _replicates(sweep: Sweep, searching: bool) -> list[dict[str, Stage]]:
    """The stages of every replicate; the confirmed candidates are stood for by the first ones drawn."""
    found: list[dict[str, Stage]] = []
    runs: list[Run] = []
    phase = "search" if searching else "confirm"
    for label, arm in sweep.arm_list:
        history: list[Told] = []
        for index in range(sweep.trials if searching else 1):
            point = draw(sweep, arm, index, history, phase)  # type: ignore[arg-type]
            history.append(Told(point.knobs, point.distributions))
            tops = [(seed, call_space(sweep, fixed(point.knobs), seed, phase, arm)) for seed in sweep.seeds]  # type: ignore[arg-type]
            if searching and sweep.confirm is not None and index < sweep.confirm.top:
                confirmed = [(seed, call_space(sweep, fixed(point.knobs), seed, "confirm", arm)) for seed in sweep.confirm.seeds]
                runs += [Run(label, point.knobs, seed, stages) for seed, stages in confirmed]
                tops += confirmed
            elif not searching:
                runs += [Run(label, point.knobs, seed, stages) for seed, stages in tops]
            found += [stages for _, stages in tops]
    if sweep.across is not None and runs:
        found.append(sweep.across(runs))
    return found


def _row(name: str, jobs: list[Job], store: Store) -> ClassForecast:
    missing = [job for job in jobs if job.state != HELD]
    seconds = store.seconds(name)
    per_stage = sum(seconds) / len(seconds) if seconds else GUESS_SECONDS.get(name, GUESS_MEASURE)
    basis = "record" if seconds else "guess"
    return ClassForecast(name, len(jobs), len(jobs) - len(missing), len(missing), round(per_stage * len(missing), 1), basis)
