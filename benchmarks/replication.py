"""Pilot, pruning and race against every seed of every candidate to the end: what they find, and what it costs.

On Digits, over ten sampler seeds: the same space, trials and search seeds in both ways, one candidate open at a time, since
one core works. The best of each search is confirmed on fresh seeds and on the test split. Every stage is trained once, into
a library; each search is then played over it, epoch by epoch and by the real controller, as if it were alone: it sees only
what it has computed itself, and what it stops is neither finished nor counted. `--root DIR` keeps the library.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from optuna.trial import BaseTrial
from torch import nn

from analysis import KNN, LinearProbe
from analysis.statistics import interval
from benchmarks.row import Row
from contrast import SGD, CropViews, Digits, MLPHead, NTXent, Pretrain, Stage
from contrast.data.dataset import Phase
from contrast.encoders.encoder import Encoder
from contrast.heads.head import dense
from contrast.stage import Memory
from search_spaces import batch_size, learning_rate, projection_depth, temperature
from sweeps import Confirm, Sweep
from sweeps.candidate import CandidateFiles
from sweeps.controller import Controller, Signal, WorkUnit
from sweeps.engines.inline import tell
from sweeps.engines.worker import Message, Place, execute, leaves_nothing
from sweeps.fingerprint import fingerprint
from sweeps.memory import PeakMemory
from sweeps.population import Population
from sweeps.store import Record, Store

SAMPLER_SEEDS = range(10)
SEEDS, FRESH = (0, 10, 20, 30), (1, 2, 3, 4)
TRIALS, EPOCHS = 20, 16
IMAGES, SCORED = Digits(per_class=80), Digits()


@dataclass(frozen=True)
class Flat(Encoder):
    """Two dense layers on the pixels of an 8 x 8 image, which train in a fraction of a second."""

    hidden: int = 64
    out: int = 32

    @property
    def width(self) -> int:
        """`out`."""
        return self.out

    def build(self, channels: int, generator: torch.Generator) -> nn.Module:
        """[N, channels, 8, 8] -> [N, out]."""
        first, second = dense(64 * channels, self.hidden, generator), dense(self.hidden, self.out, generator)
        return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU())


def space(trial: BaseTrial, seed: int, phase: Phase) -> dict[str, Stage]:
    """Four knobs of SimCLR; a linear probe judges, the nearest neighbours of the same images watch."""
    batch = batch_size(trial, (128, 256))
    net = Pretrain(
        data=IMAGES.fit(phase),
        encoder=Flat(),
        views=CropViews(),
        loss=NTXent(temperature(trial)),
        head=MLPHead(projection_depth(trial, 0, 2), out=32),
        batch_size=batch,
        epochs=EPOCHS,
        seed=seed,
        optimizer=SGD(lr=learning_rate(trial, 0.1, batch)),
    )
    return {"knn": watching(net, phase), "accuracy": LinearProbe(net, data=net.data, on=SCORED.held_out(phase), l2=(0.1,))}


def watching(net: Pretrain, phase: Phase) -> KNN:
    """The monitor of a pretraining."""
    return KNN(net, bank=net.data, on=SCORED.held_out(phase))


def searches(sampler_seed: int) -> dict[str, Sweep]:
    """The two ways to spend seeds, all else equal."""
    race = Sweep(
        f"race-{sampler_seed}",
        space,
        trials=TRIALS,
        maximize="accuracy",
        seeds=SEEDS,
        monitor="knn",
        confirm=Confirm(1, FRESH),
        sampler_seed=sampler_seed,
        open=1,
    )
    return {"all seeds": replace(race, name=f"all-{sampler_seed}", pilot=len(SEEDS), monitor=None), "race": race}


class Shown(Store):
    """The library as one search sees it: only the stages that it has computed itself."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.shown: set[str] = set()

    def held(self, stage: Stage, identity: str) -> Record | None:
        """The record of a stage that this search has computed."""
        return super().held(stage, identity) if identity in self.shown else None


@dataclass(frozen=True)
class Played:
    """How one search went: accuracy of its best on the fresh seeds, and epochs of pretraining by phase."""

    accuracy: float
    epochs: Counter[str]


class Library:
    """Every stage trained once, below `root`; searches are played over it."""

    def __init__(self, root: Path) -> None:
        self.place, self.memory = Place(root, None), Memory()
        self.store = Store.open(root)

    def play(self, sweep: Sweep) -> Played:
        """Run one search to its end as if it were alone."""
        seen: dict[Pretrain, int] = {}
        with tempfile.TemporaryDirectory() as folder:
            store, files = Shown(self.place.root), CandidateFiles(Path(folder), sweep.name)
            population = Population(sweep, store, files, searching=True, check=lambda stages, phase: None, emit=lambda event: None)
            controller = Controller(population)
            while isinstance(unit := controller.next(), WorkUnit):
                for message in self._messages(unit, store):
                    stage = unit.stages[message.index]
                    if message.kind == "epoch" and isinstance(stage, Pretrain):
                        seen[stage] = max(seen.get(stage, 0), message.epoch)
                    if tell(controller, unit, message) is Signal.STOP:
                        break
                if unit.number in controller.running:
                    controller.finished(unit)
        if controller.fatal is not None or unit is not Signal.DONE:
            raise controller.fatal or RuntimeError(f"{sweep.name} waits for nothing")
        epochs: Counter[str] = Counter()
        for stage, epoch in seen.items():
            epochs["search" if stage.seed in SEEDS else "confirm"] += epoch
        (best,) = population.best(1)
        fresh = [replicate.metrics["accuracy"] for replicate in best.of_phase("confirm")]
        return Played(sum(fresh) / len(fresh), epochs)

    def _messages(self, unit: WorkUnit, store: Shown) -> Iterator[Message]:
        """What a worker would say of the unit, if nothing of it had been computed before this search."""
        for index, stage in enumerate(unit.stages):
            record = self._record(unit, index)
            for epoch, metrics in enumerate(record.curve, 1):
                yield Message("epoch", index, epoch, metrics)
            store.shown.add(unit.identities[stage])
            yield Message("committed", index)
            if leaves_nothing(stage, record):
                return

    def _record(self, unit: WorkUnit, index: int) -> Record:
        stage = unit.stages[index]
        identity = unit.identities[stage]
        if self.store.held(stage, identity) is None:
            monitor = watching(stage, "search") if isinstance(stage, Pretrain) else None
            identities = unit.identities | ({} if monitor is None else {monitor: fingerprint(monitor)})
            alone = replace(unit, stages=(stage,), values=(unit.values[index],), identities=identities, monitor=monitor)
            for message in execute(alone, self.place, self.memory):
                if message.kind == "failed":
                    raise RuntimeError(message.text)
        record = self.store.held(stage, identity)
        assert record is not None
        return record


def compare(played: list[dict[str, Played]]) -> list[Row]:
    """Both means over the sampler seeds, their paired difference, and what the cheaper way costs; intervals are of 95 %."""
    every, race = (interval([one[way].accuracy for one in played]) for way in ("all seeds", "race"))
    lost = interval([one["all seeds"].accuracy - one["race"].accuracy for one in played])
    whole, search = (share(played, phases) for phases in (("search", "confirm"), ("search",)))
    return [
        Row("replication: all seeds, accuracy", every.mean, "%"),
        Row("replication: all seeds, half-width", every.half or 0.0, "points"),
        Row("replication: race, accuracy", race.mean, "%"),
        Row("replication: race, half-width", race.half or 0.0, "points"),
        Row("replication: all seeds minus race", lost.mean, "points"),
        Row("replication: half-width of the difference", lost.half or 0.0, "points"),
        Row("replication: lower end of the difference", lost.mean - (lost.half or 0.0), "points", 0.0),
        Row("replication: epochs of the race", whole, "of all seeds", 0.5, 0.3),
        Row("replication: the same without confirmation", search, "of all seeds"),
    ]


def share(played: list[dict[str, Played]], phases: tuple[str, ...]) -> float:
    """Epochs of the race over epochs of all seeds."""
    race, every = (sum(one[way].epochs[phase] for one in played for phase in phases) for way in ("race", "all seeds"))
    return race / every


def main() -> int:
    """Play both ways for every sampler seed; 0 when every hold is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, help="keep the library of trained stages here")
    root = parser.parse_args().root
    torch.set_num_threads(1)
    peak = PeakMemory().start()
    with tempfile.TemporaryDirectory() as temporary:
        library = Library(root or Path(temporary))
        played = []
        for seed in SAMPLER_SEEDS:
            played.append({way: library.play(sweep) for way, sweep in searches(seed).items()})
            ways = ", ".join(f"{way} {one.accuracy:.2f} % in {one.epochs.total()} epochs" for way, one in played[-1].items())
            print(f"sampler seed {seed}: {ways}", file=sys.stderr, flush=True)
    rows = compare(played)
    for row in [*rows, Row("peak memory of all processes", peak.stop() / 1e9, "GB")]:
        print(row)
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
