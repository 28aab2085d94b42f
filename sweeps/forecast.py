"""What a sweep will run, before it runs: stages by class, what is held already, how long the rest takes and what it costs.

The forecast is the controller itself in virtual time, over what is held and saved. Times come from the pace of recorded
stages of the kind, an epoch, and sizes from their files; where there are none the figure is a guess and is marked as one.
Candidates that were drawn keep their knobs, and those that were pruned or diverged want nothing more; the others are
forecast as if none were better than another and nothing were pruned, so the figures are an upper bound.
"""

import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from contrast.pretraining import Pretraining
from contrast.stage import Metrics, Stage
from sweeps import candidate as state
from sweeps.budget import Spent, SpentFile
from sweeps.candidate import Unwritten
from sweeps.controller import Controller
from sweeps.engines.virtual import Clock, Imagined, Nature, Room, Virtual
from sweeps.graph import Job
from sweeps.paces import Paces
from sweeps.population import Population
from sweeps.resources import Resources, cores_only
from sweeps.slots import Slots
from sweeps.store import Store
from sweeps.sweep import Sweep

STARTUP = 10  # results that the default sampler draws at random before it learns


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
class Means:
    """What a sweep is to run on: units at once, GPUs, what a unit occupies; `price` of an hour of a GPU, or of a core if none is used."""

    slots: int = 2
    gpus: float = 0.0
    resources: Callable[[Stage], Resources] = cores_only
    price: float | None = None


@dataclass(frozen=True)
class Forecast:
    """`sharing`: for each pretraining's fingerprint, how many results of candidates hang on it.

    `cost` is until the end, from now; `disk` in bytes: needed, free, and whether sizes are of records or guessed.
    """

    stages: tuple[ClassForecast, ...]
    sharing: dict[str, int]
    means: Means
    cost: Spent
    disk: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def price(self) -> float | None:
        """What the hours in use cost; hours in which a GPU or core waits are not counted."""
        hours = self.cost.gpu_hours or self.cost.core_hours
        return None if self.means.price is None else round(self.means.price * hours, 2)

    def as_json(self) -> dict[str, Any]:
        """The form that `plan --json` prints."""
        on = {"slots": self.means.slots, "gpus": self.means.gpus}
        hours = {name: round(value, 4) for name, value in asdict(self.cost).items()}
        return {
            "stages": [row.as_json() for row in self.stages],
            "sharing": self.sharing,
            "finish": {**on, "seconds": round(3600 * self.cost.hours, 1), "bound": "upper: nothing is pruned"},
            "cost": {**hours, "price": self.price},
            "disk": self.disk,
            "warnings": list(self.warnings),
        }


def forecast(sweep: Sweep, store: Store, searching: bool, means: Means = Means()) -> Forecast:
    """The sweep in virtual time, from what its files and the store have to its end; nothing is run or written."""
    paces = Paces(store)
    controller = imagined(sweep, store, searching, means, paces)
    graph, population = controller.graph, controller.population
    by_class: dict[str, list[Job]] = defaultdict(list)
    for identity in graph.jobs:
        if identity in graph.reused or identity in graph.computed:
            by_class[type(graph.jobs[identity].stage).__name__].append(graph.jobs[identity])
    first = ("Pretrain", "MoCo", "VAE", "Untrained", "Pretrained", "Finetune", "LogisticRegression", "Segment")
    order = sorted(by_class, key=lambda name: (name not in first, name != "Pretrain", name))
    rows = tuple(_row(name, by_class[name], graph.computed, paces) for name in order)
    disk = _disk([graph.jobs[identity].stage for identity in graph.computed], paces, store)
    found = Forecast(rows, _sharing(population), means, controller.meter.spent, disk)
    warnings = [*_crowded(sweep, store, searching, means, paces, drawn=bool(graph.reused)), *_lacking(sweep, store, found)]
    return replace(found, warnings=tuple(warnings))


def imagined(sweep: Sweep, store: Store, searching: bool, means: Means, paces: Paces) -> Controller:
    """The controller after the sweep has run in virtual time; its meter tells the time and what was occupied."""
    clock, held = Clock(), Imagined(store.root)
    files = Unwritten(store.root, sweep.name)
    saved = files.read()
    judged = len(saved) >= sweep.trials * len(sweep.arm_list) and all(one.state != state.OPEN for one in saved.values())
    # Imagined results keep no constraint; until all are judged, the first candidates stand for the best.
    asked = replace(sweep, budget=None, constraints=sweep.constraints if judged else ())
    population = Population(asked, held, files, searching=searching, check=lambda stages, phase: None, emit=lambda event: None)
    controller = Controller(population, resources=means.resources, now=clock, slots=Slots(means.slots))
    names = _further(sweep)
    Virtual(controller, held, Nature(paces.of, lambda stage, identity: names), Room(math.inf, means.gpus), clock).run()
    return controller


def _further(sweep: Sweep) -> Metrics:
    """The same main result for all, and every further one that a pattern of the sweep may name: `eps_2` of `pgd/*/eps_2`."""
    patterns = [*(objective.pattern for objective in sweep.objectives), *(one.key for one in sweep.constraints), *sweep.headline]
    parts = [pattern.replace("*", "0").split("/") for pattern in patterns]
    return {"result": 0.0} | {"/".join(segments[n:]): 0.0 for segments in parts for n in range(1, len(segments))}


def _row(name: str, jobs: list[Job], computed: set[str], paces: Paces) -> ClassForecast:
    missing = [job for job in jobs if job.fingerprint in computed]
    basis = "guess" if any(paces.pace(job.stage)[1] == "guess" for job in jobs) else "record"
    seconds = sum(paces.of(job.stage) * max(1, job.stage.length) for job in missing)
    return ClassForecast(name, len(jobs), len(jobs) - len(missing), len(missing), round(seconds, 1), basis)


def _sharing(population: Population) -> dict[str, int]:
    """How many results hang on each pretraining."""
    leaves: Counter[str] = Counter()
    going_on = [c for c in population.candidates.values() if c.state not in (state.PRUNED, state.DIVERGED)]
    tops = [stage for c in going_on for replicate in c.replicates for stage in replicate.stages.values()]
    for stage in [*tops, *population.finals.across.values()]:
        below = population.graph.below(population.graph.job(stage))
        leaves.update(job.fingerprint for job in below if isinstance(job.stage, Pretraining))
    return dict(sorted(leaves.items()))


def _disk(missing: list[Stage], paces: Paces, store: Store) -> dict[str, Any]:
    """Bytes that the missing stages need, and that are free below the root."""
    sizes = [paces.size(stage) for stage in missing]
    there = next(path for path in (store.root.resolve(), *store.root.resolve().parents) if path.exists())
    basis = "guess" if any(basis == "guess" for _, basis in sizes) else "record"
    return {"needed": round(sum(size for size, _ in sizes)), "free": shutil.disk_usage(there).free, "basis": basis}


def learned(trials: int, open_: int) -> int:
    """How many of `trials` candidates are drawn from as many results as the default sampler learns from."""
    return max(0, trials - (STARTUP - 1) - open_)


def _crowded(sweep: Sweep, store: Store, searching: bool, means: Means, paces: Paces, *, drawn: bool) -> list[str]:
    """A warning when so many candidates are open at once that the search cannot learn, and what `open` would do."""
    if not searching or sweep.sampler is not None or learned(sweep.trials, sweep.window) * 2 >= learned(sweep.trials, 1):
        return []
    fewer = max(1, min(means.slots, sweep.window - 1))
    few, more = learned(sweep.trials, sweep.window), learned(sweep.trials, fewer)
    said = f"{sweep.window} of {sweep.trials} candidates of an arm are open at once, so only {few} of them are drawn from the {STARTUP}"
    said += f" results that the sampler needs to learn; with open={fewer} these are {more}"
    if drawn:
        return [said]
    hours = imagined(replace(sweep, open=fewer), store, searching, means, paces).meter.spent.hours
    return [f"{said}, finished in {hours:.3g} hours"]


def _lacking(sweep: Sweep, store: Store, found: Forecast) -> list[str]:
    """Warnings about the disk and the budget."""
    said = []
    if found.disk["needed"] > found.disk["free"]:
        free, needed = (found.disk[name] / 1e9 for name in ("free", "needed"))
        said.append(f"the disk has {free:.3g} GB free and {needed:.3g} GB are needed; free some, or name another --root")
    spent = SpentFile(store.root, sweep.name).read()[0]
    names = ("hours", "core_hours", "gpu_hours")
    exceeded = Spent(*(getattr(spent, name) + getattr(found.cost, name) for name in names)).exceeds(sweep.budget)
    if exceeded is not None:
        said.append(f"{exceeded}, as far as can be foreseen: the sweep will end before all is done")
    return said
