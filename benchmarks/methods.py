"""What each method of the `pretraining` sweep takes: seconds, and the peak memory of a process that trains.

    python -m benchmarks.methods [ROOT]

The seconds of a training are those of the records below ROOT (`runs`), with whatever else the machine did, so run the sweep's mini
preset first. Those of an epoch are processor time of a process of its own with one thread, whose peak memory is told too, imports
and all (resident set size); all epochs of a training are alike.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from analysis.statistics import interval
from benchmarks import own_memory
from benchmarks.row import Row, shown
from benchmarks.simclr_task import root
from contrast import Stage
from contrast.heap import kept_heap
from contrast.stage import Workspace
from search_spaces.pretraining import METHODS
from sweeps.catalog.pretraining import pretraining
from sweeps.fingerprint import fingerprint
from sweeps.store import Untouched

SWEEP = pretraining("mini")


def training(method: str, seed: int) -> Any:  # noqa: ANN401 (the stages of the methods are of several classes)
    """The stage that trains the encoder of a method."""
    stages: dict[str, Any] = SWEEP.space(None, seed, "confirm", method)
    return stages["knn"].of


def seconds(store: Untouched, stage: Stage) -> float:
    """How long a training took."""
    record = store.held(stage, fingerprint(stage))
    if record is None:
        raise SystemExit(f"{store.root}: lacks a training of {SWEEP.name}. Run it: python -m sweeps run pretraining --root {store.root}")
    return record.seconds


def an_epoch(method: str) -> None:
    """Train for an epoch, and print its seconds of processor time, 0 where nothing is trained, and the peak in MB."""
    torch.set_num_threads(1)
    stage = training(method, 0)
    stage = stage if method == "random" else replace(stage, epochs=2)
    taken = 0.0
    with tempfile.TemporaryDirectory() as folder, kept_heap():
        began = time.process_time()
        for _ in stage.run(Workspace(Path(folder), lambda _: None, data=root())):  # type: ignore[arg-type, return-value]
            taken, began = time.process_time() - began, time.process_time()
    print(taken, own_memory.peak())


def rows(below: Path) -> Iterator[Row]:
    """Two a method; the encoder that is not trained shows what a process takes without a training."""
    root()
    store = Untouched(below)
    for method in METHODS:
        taken = interval([seconds(store, training(method, seed)) for seed in SWEEP.seeds])
        yield Row(f"{method}: a training, mean of {taken.n}", taken.mean, "s")
        command = [sys.executable, "-m", "benchmarks.methods", "--epoch", method]
        epoch, peak = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        yield Row(f"{method}: an epoch, processor time of one thread", epoch, "s")
        yield Row(f"{method}: peak memory", peak, "MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--epoch"]:
        an_epoch(sys.argv[2])
    else:
        sys.exit(shown(rows(Path(sys.argv[1] if sys.argv[1:] else "runs"))))
