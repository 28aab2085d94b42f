"""Units through Ray Tune: the sweep's driver against plain Tune trials that do the same work.

Each measurement is a process of its own with a cluster of its own, and prints JSON.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (as the driver has: at Ray's 15, whatever else runs would be measured)

import numpy as np
import optuna
import torch

from contrast.saved import STATE
from contrast.stage import Metrics, Stage, Workspace
from sweeps.candidate import CandidateFiles
from sweeps.controller import Controller
from sweeps.engines import cluster, ray_tune  # before ray itself: it reads its settings when it is imported
from sweeps.engines.worker import Place
from sweeps.population import Population
from sweeps.slots import Slots
from sweeps.store import Store
from sweeps.sweep import Sweep

import ray  # isort: skip
from ray import tune  # isort: skip

FLOATS = 250  # of the state that a unit saves; the plain trial writes a file of the same size
EPOCH_SECONDS, METHODS, SEEDS, TASKS, PRETRAINING, TUNING = 0.25, 3, 4, 4, 6, 2


def busy(seconds: float) -> None:
    """Keep the processor busy for so long, by the processor's time: a busy machine makes it longer, as it does any work."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(1000))


@dataclass(frozen=True)
class Busy(Stage):
    """One epoch that keeps the processor busy, saves its state and reports."""

    x: float
    seed: int
    seconds: float

    @property
    def length(self) -> int:
        """One epoch."""
        return 1

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Work, save, report."""
        busy(self.seconds)
        metrics = {"loss": 1.0}  # for all, so that the race stops none
        workspace.save(1, metrics, {"w": torch.zeros(FLOATS)})
        yield metrics
        return metrics


@dataclass(frozen=True)
class Part(Stage):
    """A training that notes every epoch it computes in a file that all share; `of` is what it starts from."""

    method: str
    seed: int
    task: int
    epochs: int
    of: Stage | None = None

    @property
    def length(self) -> int:
        """Its epochs."""
        return self.epochs

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Every epoch takes the same time."""
        done, _ = workspace.restore()
        for epoch in range(done + 1, self.epochs + 1):
            busy(EPOCH_SECONDS)
            note(workspace.data or Path(), f"{self.method} {self.seed} {self.task} {epoch}")
            metrics = {"loss": 1.0 / epoch}
            workspace.save(epoch, metrics, {"w": torch.zeros(FLOATS)})
            yield metrics
        return {"loss": 1.0}


def note(folder: Path, line: str) -> None:
    """Append a line; writers do not disturb each other."""
    handle = os.open(folder / "epochs", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def noted(folder: Path) -> Counter[str]:
    """How often each line was noted."""
    path = folder / "epochs"
    return Counter(path.read_text(encoding="utf-8").splitlines() if path.exists() else [])


def file_of_equal_size(path: Path, size: int) -> None:
    """A file flushed to the disk."""
    with open(path, "wb") as file:
        file.write(b"\0" * size)
        file.flush()
        os.fsync(file.fileno())


def state_size() -> int:
    """The bytes of the state that `Busy` saves."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder), lambda stage: None)  # type: ignore[arg-type, return-value]
        list(Busy(0.5, 0, 0.0).run(workspace))
        return (Path(folder) / STATE).stat().st_size


@dataclass(frozen=True)
class Spans:
    """When units ended, and the driver's own processor time; all in seconds."""

    ended: list[float]
    cpu: float
    wall: float

    def unit(self) -> dict[str, float]:
        """Wall time and driver's processor time a unit, between the first that ended and the last; start-up is left out of the wall."""
        ended = sorted(self.ended)
        return {"wall": (ended[-1] - ended[0]) / (len(ended) - 1), "cpu": self.cpu / len(ended), "whole": self.wall}


def driven(root: Path, sweep: Sweep, slots: int, *, searching: bool, data: Path | None = None) -> tuple[Spans, Population]:
    """A sweep through the Ray engine as a launch has it, but for the display and MLflow."""
    population = Population(
        sweep, Store.open(root), CandidateFiles(root, sweep.name), searching=searching, check=lambda *_: None, emit=lambda event: None
    )
    controller = Controller(population, slots=Slots(slots))
    began, cpu = time.time(), time.process_time()
    ray_tune.run(controller, Place(root, data))
    cpu, wall = time.process_time() - cpu, time.time() - began
    if controller.fatal is not None:
        raise controller.fatal
    jobs = population.graph.jobs.values()
    records = [population.store.held(job.stage, job.fingerprint) for job in jobs]
    return Spans([record.finished for record in records if record is not None], cpu, wall), population


def ours(units: int, slots: int, seconds: float) -> dict[str, float]:
    """Units of a search with random draws and four seeds a candidate."""

    def space(trial: optuna.trial.BaseTrial, seed: int, phase: str) -> dict[str, Stage]:
        return {"score": Busy(trial.suggest_float("x", 0, 1), seed, seconds)}

    sweep = Sweep(
        "units",
        space,
        trials=units // 4,
        seeds=(0, 1, 2, 3),
        minimize="score",
        sampler=lambda seed: optuna.samplers.RandomSampler(seed=seed),
    )
    with tempfile.TemporaryDirectory() as folder:
        cluster.connect(slots, None)
        spans, _ = driven(Path(folder), sweep, slots, searching=True)
        return spans.unit()


class Plain(tune.Trainable):  # type: ignore[misc]
    """The same body as a plain trial."""

    def setup(self, config: dict[str, Any]) -> None:
        """Remember the point."""
        self.point = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next point in the same process."""
        self.point = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Work, save, report."""
        busy(self.point["seconds"])
        file_of_equal_size(Path(self.point["folder"]) / f"{self.trial_id}.bin", self.point["size"])
        return {"loss": self.point["x"], "done": True}


def plain(units: int, slots: int, seconds: float, *, reuse: bool, loggers: bool = True) -> dict[str, float]:
    """Plain Tune trials: as Tune is without our settings, or without the loggers that write each result as CSV, JSON and events."""
    for name in [name for name in os.environ if name.startswith(("TUNE_", "RAY_AIR_"))]:  # the engine set them as it was imported
        if loggers or "LOGGERS" not in name:
            del os.environ[name]
    with tempfile.TemporaryDirectory() as folder:
        cluster.connect(slots, None)
        (Path(folder) / "out").mkdir()
        space = {"x": tune.uniform(0, 1), "seconds": seconds, "folder": f"{folder}/out", "size": state_size()}
        cpu, wall = fitted(Plain, space, units, slots, Path(folder), reuse)
        return Spans([path.stat().st_mtime for path in Path(folder, "out").iterdir()], cpu, wall).unit()


def fitted(body: object, space: dict[str, Any], units: int, slots: int, folder: Path, reuse: bool) -> tuple[float, float]:
    """Run trials to their end; processor time of this process and wall time."""
    began, cpu = time.time(), time.process_time()
    tuner = tune.Tuner(
        body,
        param_space=space,
        tune_config=tune.TuneConfig(num_samples=units, reuse_actors=reuse, max_concurrent_trials=slots),
        run_config=tune.RunConfig(
            name="plain",
            storage_path=str(folder / "tune"),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    tuner.fit()
    ray.shutdown()  # as our engine does
    return time.process_time() - cpu, time.time() - began


def shared() -> dict[str, float]:
    """Three methods, four seeds, four tasks each: epochs executed, unique and declared, and the wall time."""

    def space(trial: object, seed: int, phase: str, method: str) -> dict[str, Stage]:
        net = Part(method, seed, -1, PRETRAINING)
        return {f"task/{task}": Part(method, seed, task, TUNING, of=net) for task in range(TASKS)}

    sweep = Sweep("shared", space, arms={"method": tuple("abc"[:METHODS])}, seeds=tuple(range(SEEDS)))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cluster.connect(2, None)
        spans, _ = driven(root, sweep, 2, searching=False, data=root)
        epochs = noted(root)
    declared = METHODS * SEEDS * (PRETRAINING + TASKS * TUNING)
    return {"executed": float(epochs.total()), "unique": float(len(epochs)), "declared": float(declared), "wall": spans.wall}


class Leaf(tune.Trainable):  # type: ignore[misc]
    """A pretraining and one fine-tuning of it in one trial, an epoch a step."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin."""
        self.epoch = 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin again."""
        self.epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """An epoch."""
        self.epoch += 1
        busy(EPOCH_SECONDS)
        file_of_equal_size(Path(self.config["folder"]) / f"{self.trial_id}.bin", self.config["size"])
        return {"loss": 1.0 / self.epoch, "done": self.epoch == PRETRAINING + TUNING}


def leaves() -> dict[str, float]:
    """The same results, one plain trial each."""
    with tempfile.TemporaryDirectory() as folder:
        cluster.connect(2, None)
        (Path(folder) / "out").mkdir()
        grid = {"method": tune.grid_search(list("abc"[:METHODS]))} | {
            name: tune.grid_search(list(range(n))) for name, n in (("seed", SEEDS), ("task", TASKS))
        }
        space = grid | {"folder": f"{folder}/out", "size": state_size()}
        _, wall = fitted(Leaf, space, 1, 2, Path(folder), reuse=True)
        return {"wall": wall}


MEASURED: dict[str, Callable[[], dict[str, float]]] = {
    "ours": lambda: ours(300, 1, 0.05),
    "reused": lambda: plain(300, 1, 0.05, reuse=True),
    "silent": lambda: plain(300, 1, 0.05, reuse=True, loggers=False),
    "fresh": lambda: plain(12, 1, 0.05, reuse=False),
    "long": lambda: ours(24, 2, 10.0),
    "solo": lambda: {"wall": float(np.median([_timed(10.0) for _ in range(2)]))},
    "shared": shared,
    "leaves": leaves,
}


def _timed(seconds: float) -> float:
    began = time.perf_counter()
    busy(seconds)
    return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(MEASURED[sys.argv[1]]()))
