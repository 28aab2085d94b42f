"""Loss surface of 51 x 51 points against the reference script's loop: weights overwritten, a data loader run, at every point.

A small residual network, trained on some images of a five-way task of CIFAR-100 for some seconds. Ours is the whole measure, as a
worker runs it, with what it saves. The reference, a script's process of its own, is timed at random points of the grid between the
parts of ours, and its median is taken for all points. The surfaces must be the same, to 1e-5 and where they are clipped. Processor
time on one thread each; memory is how far the peak rises above what was held before.
"""

import copy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, Normalize, ToTensor

from analysis import Landscape
from analysis.geometry.directions import filter_normalised
from analysis.geometry.grid import grid
from analysis.subset import stratified
from benchmarks import own_memory
from benchmarks.finetuned import TASKS, Bench
from benchmarks.row import Row, shown
from benchmarks.simclr_task import root
from contrast import SGD, Classifier, CrossEntropy, Plain, Pretrain, SmallResNet, Workspace
from contrast.heap import kept_heap
from contrast.model import Artefact, Net

SAMPLES, BATCH, POINTS_A_PART = 256, 64, 3
TASK = TASKS[3]
NET = Pretrain(
    data=replace(TASK, per_class=100),
    encoder=SmallResNet(16),
    views=Plain(),
    loss=CrossEntropy(),
    head=Classifier(),
    batch_size=50,
    epochs=40,
    seed=0,
    optimizer=SGD(lr=0.1),
)
SURFACE = Landscape(NET, on=TASK, samples=SAMPLES)
ALPHAS = grid(SURFACE.points, SURFACE.span)


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets give them: from arrays [H, W, C] through ToTensor and Normalize, one by one."""

    def __init__(self, workspace: Workspace) -> None:
        images = workspace.images(TASK)
        chosen = stratified(images.labels, SAMPLES)
        self.pixels = np.ascontiguousarray(images.pixels[chosen].transpose(0, 2, 3, 1))
        self.labels = images.labels[chosen].tolist()
        self.transform = Compose([ToTensor(), Normalize(TASK.mean, TASK.std)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(self.pixels[i]), self.labels[i]


class Reference:
    """The loop over a grid as it is usually written, one point at a time."""

    def __init__(self, net: Net, pictures: Pictures) -> None:
        self.net = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
        self.net.mean.zero_()  # the transform has normalised
        self.net.std.fill_(1)
        self.weights = [weight.clone() for weight in self.net.parameters()]
        self.directions = [list(filter_normalised(net, 0, index).values()) for index in (0, 1)]
        self.loader = DataLoader(pictures, BATCH)

    @torch.no_grad()
    def loss(self, a: float, b: float) -> float:
        """The mean loss at (a, b)."""
        for weight, centre, u, v in zip(self.net.parameters(), self.weights, *self.directions, strict=True):
            weight.data = centre + a * u + b * v
        total, correct = 0.0, 0
        for x, y in self.loader:
            outputs = self.net(x)
            total += cross_entropy(outputs, y).item() * len(y)
            correct += int((outputs.argmax(1) == y).sum().item())
        return total / SAMPLES


class Script:
    """The reference in a process of its own, which loads the network from `folder` and waits to be asked for points."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.surface", str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, i: int, j: int) -> tuple[float, float, float]:
        """The loss at a point of the grid, the processor time that it took in s, and the peak of memory since the first in MB."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(i, j, file=self.process.stdin, flush=True)
        loss, seconds, memory = map(float, self.process.stdout.readline().split())
        return loss, seconds, memory

    def end(self) -> None:
        """Let the process end."""
        self.process.communicate()


def answer(folder: Path) -> None:
    """Be the reference: read points, write what `Script.ask` gives."""
    workspace = Workspace(folder, lambda stage: Artefact(folder, {}), data=root())
    reference = Reference(workspace.model(NET).net, Pictures(workspace))
    held = own_memory.resident()
    for line in sys.stdin:
        began = time.process_time()
        loss = reference.loss(*ALPHAS[[int(place) for place in line.split()]].tolist())
        print(loss, time.process_time() - began, own_memory.peak() - held, flush=True)


def parts(bench: Bench) -> Iterator[float]:
    """The processor time of each part of ours; a worker keeps freed memory while a stage runs, of which a script knows nothing."""
    running = bench.epochs(SURFACE)
    while True:
        with kept_heap():
            seconds = next(running, None)
        if seconds is None:
            return
        yield seconds


def rows(bench: Bench) -> Iterator[Row]:
    """Both by turns; raises where the surfaces differ."""
    bench.run(NET)
    script, draws = Script(bench.done[NET].folder), np.random.default_rng(0)
    script.ask(25, 25)
    own_memory.reset_peak()
    held, own, found = own_memory.resident(), [], {}
    for seconds in parts(bench):
        own.append(seconds)
        found |= {(i, j): script.ask(i, j) for i, j in draws.integers(len(ALPHAS), size=(POINTS_A_PART, 2)).tolist()}
    memory = own_memory.peak() - held
    script.end()
    arrays = bench.done[SURFACE].arrays()
    for place, (loss, *_) in found.items():
        ours = arrays["surface"][place]
        if not (loss > (1 - 1e-5) * SURFACE.ceiling if arrays["clipped"][place] else abs(ours / loss - 1) < 1e-5):
            raise SystemExit(f"the surfaces differ at {place}: {ours} and {loss}")
    _, times, peaks = zip(*found.values(), strict=True)
    yield Row("surface 51 x 51: the reference against ours", median(times) * SURFACE.points**2 / sum(own), "ratio", 4, 6, at_least=True)
    yield Row(f"surface: ours, {SAMPLES} images", sum(own), "s")
    yield Row("surface: a picture of 11 x 11 points after", 100 * sum(own[:2]) / sum(own), "% of it")
    yield Row("surface: points above the colour range", 100 * float(arrays["clipped"].mean()), "%")
    yield Row("surface: memory of ours", memory, "MB")
    yield Row("surface: memory of the reference", peaks[-1], "MB")


def main() -> int:
    """0 if every hold is met."""
    with tempfile.TemporaryDirectory() as folder:
        return shown(rows(Bench(Path(folder))))


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 2:
        answer(Path(sys.argv[1]))
    else:
        sys.exit(main())
