"""SimCLR on CIFAR-10 against lightly's recipe: images a second on one thread, and kNN accuracy after equal epochs.

    python -m benchmarks.simclr [--epochs 10] [--seeds 2]

Encoder of the mini presets, equal images, batches and schedule; every training is a process of its own. lightly lives in
`.venv-peers` (make peers). ResNet-18 is for information. Take the figures on an idle machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import torch

from benchmarks.row import Row, shown
from benchmarks.simclr_task import BATCH, ENCODERS, LR, TAU, Task, knn, root, timed
from contrast import SGD, BatchNormHead, NTXent, Pretrain, moco_cifar
from contrast.heap import kept_heap
from contrast.model import Artefact
from contrast.stage import Workspace

REPOSITORY = Path(__file__).resolve().parents[1]
PEERS = REPOSITORY / ".venv-peers" / "bin" / "python"


def pretraining(task: Task) -> Pretrain:
    """Ours."""
    return Pretrain(
        data=task.data.whole,
        encoder=ENCODERS[task.encoder],
        views=moco_cifar(),  # crops of 8 to 100 %, flip, jitter, grey: as lightly has them, like the head
        loss=NTXent(TAU),
        head=BatchNormHead(2),
        batch_size=BATCH,
        epochs=task.epochs,
        seed=task.seed,
        optimizer=SGD(lr=LR),
        precision="bf16" if task.precision == "bf16" else "fp32",
    )


def ours(task: Task) -> dict[str, float]:
    """Train in this process as a worker does, saving the state of every epoch, then judge by kNN."""
    torch.set_num_threads(1)
    stage = pretraining(task)
    with tempfile.TemporaryDirectory() as folder, kept_heap():
        workspace = Workspace(Path(folder), lambda _: Artefact(Path(folder), {}), data=root())
        found = timed(task, stage.run(workspace))
        if task.encoder != "small":
            return found
        return found | {"knn": knn(task, workspace.model(stage).net.features)}


def measured(python: Path, module: str, task: Task) -> dict[str, float]:
    """What a training in a process of its own printed last."""
    command = [str(python), "-m", module, *task.arguments()]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    if ended.returncode:
        raise SystemExit(f"{module} failed:\n{ended.stderr[-3000:]}")
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def both(task: Task, precision: str) -> tuple[dict[str, float], dict[str, float]]:
    """Ours at a precision, and lightly's at the task's own."""
    mine = measured(Path(sys.executable), "benchmarks.simclr", replace(task, precision=precision))
    return mine, measured(PEERS, "benchmarks.lightly_recipe", task)


def rows(epochs: int, seeds: int) -> Iterator[Row]:
    """Full trainings at our best, then short ones at equal precision and with ResNet-18."""
    mine, theirs = zip(*(both(Task(epochs=epochs, seed=seed), "bf16") for seed in range(seeds)), strict=True)
    speed, lightly = (median(run["images"] for run in runs) for runs in (mine, theirs))
    yield Row("simclr: ours at bf16", speed, "images a second")
    yield Row("simclr: lightly's", lightly, "images a second")
    yield Row("simclr: bf16 against lightly's", speed / lightly, "ratio", 2.5, 4, at_least=True)
    exact = measured(Path(sys.executable), "benchmarks.simclr", Task(epochs=min(epochs, 3)))["images"]
    yield Row("simclr: equal precision against lightly's", exact / lightly, "ratio", 1.2, 1.5, at_least=True)
    accuracy, other = (mean(run["knn"] for run in runs) for runs in (mine, theirs))
    yield Row("simclr: kNN accuracy of ours at bf16", accuracy, "%")
    yield Row("simclr: kNN accuracy of lightly's", other, "%")
    yield Row("simclr: kNN accuracy that lightly's has more", other - accuracy, "points", 1, 0)
    large, larger = both(Task("resnet18", per_class=32, epochs=1), "bf16")
    yield Row("simclr: ResNet-18, bf16 against lightly's", large["images"] / larger["images"], "ratio")
    yield Row("simclr: ResNet-18, ours at bf16", large["images"], "images a second")


def main() -> int:
    """0 if every hold is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    root()
    if not PEERS.exists():
        raise SystemExit(f"{PEERS}: there is no such environment. Make it with `make peers`.")
    return shown(rows(asked.epochs, asked.seeds))


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("{"):
        print(json.dumps(ours(Task.read(sys.argv[1:]))))
    else:
        sys.exit(main())
