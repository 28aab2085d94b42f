"""What each method of the `pretraining` sweep takes: seconds of a training, and the peak memory of a process that trains.

    python -m benchmarks.methods [ROOT]

The seconds are those of the trainings below ROOT (`runs`), so run the sweep's mini preset first, on an idle machine. The memory is
that of a few steps in a process of their own, imports and all (resident set size); all steps of a training are alike.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from analysis.statistics import interval
from benchmarks import own_memory
from benchmarks.row import Row, shown
from benchmarks.simclr_task import root
from contrast import CIFAR10, Stage
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


def few_steps(method: str) -> None:
    """Train on few images, and print the peak in MB."""
    torch.set_num_threads(1)
    stage = training(method, 0)
    stage = replace(stage, data=CIFAR10(per_class=32)) if method == "random" else replace(stage, data=CIFAR10(per_class=32), epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        for _ in stage.run(Workspace(Path(folder), lambda _: None, data=root())):  # type: ignore[arg-type, return-value]
            pass
    print(own_memory.peak())


def rows(below: Path) -> Iterator[Row]:
    """Two a method; the encoder that is not trained shows what a process takes without a training."""
    root()
    store = Untouched(below)
    for method in METHODS:
        taken = interval([seconds(store, training(method, seed)) for seed in SWEEP.seeds])
        yield Row(f"{method}: a training, mean of {taken.n}", taken.mean, "s")
        command = [sys.executable, "-m", "benchmarks.methods", "--steps", method]
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        yield Row(f"{method}: peak memory", peak, "MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--steps"]:
        few_steps(sys.argv[2])
    else:
        sys.exit(shown(rows(Path(sys.argv[1] if sys.argv[1:] else "runs"))))
