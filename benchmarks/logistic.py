"""45 strengths of regularisation on 4 tasks: all at once against scikit-learn's LogisticRegression one by one, on one thread.

Features are those of a briefly trained ResNet-18 on the five-way CIFAR-100 tasks: 2500 images, d = 512, centred and divided by their
root mean square; l2 is 1e-6 to 1e5, in equal steps of the logarithm, as SimCLR's protocol has it. scikit-learn runs with lbfgs at a
tolerance of 1e-5, a tenth of its default, up to the 15,000 evaluations that scipy allows it. The weakest strengths stop short of the
optimum even so, some by enough to classify an image otherwise; accuracies are to be equal, to one image, where it came within 1e-6 nats.
Its time at the default, where it stops before, is told of one task. All takes a quarter of an hour.

Times are processor time. Memory: how far the peak of a process that does nothing else rises above what it held with the features in
memory.
"""

import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmarks import own_memory
from benchmarks.finetuned import ENCODER, TASKS, Bench
from benchmarks.row import Row
from contrast.logistic import fit_logistic

STRENGTHS = [10 ** (-6 + 11 * i / 44) for i in range(45)]
TOLERANCE, REPEATS, NEAR = 1e-5, 3, 1e-6


class Task(NamedTuple):
    """Features float64 [N, d] and labels [N] of training and held-out images."""

    x: np.ndarray
    y: np.ndarray
    held: np.ndarray
    truth: np.ndarray


class Fit(NamedTuple):
    """The objective at the fitted weights, and how the held-out images are classified."""

    objective: float
    classes: np.ndarray


def task(bench: Bench, number: int) -> Task:
    parts = []
    for data in (TASKS[number].fit("confirm"), TASKS[number].held_out("confirm")):
        workspace = bench.workspace()
        parts += [workspace.features(workspace.model(ENCODER), data).double().numpy(), np.array(workspace.images(data).labels)]
    x, y, held, truth = parts
    centre = x.mean(0)
    scale = np.sqrt(((x - centre) ** 2).mean())
    return Task((x - centre) / scale, y, (held - centre) / scale, truth)


def of(task: Task, l2: float, weight: np.ndarray, bias: np.ndarray) -> Fit:
    logits = torch.from_numpy(task.x @ weight.T + bias)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(task.y)).item()
    return Fit(loss + l2 / 2 * float((weight**2).sum()), (task.held @ weight.T + bias).argmax(1))


def ours(tasks: list[Task]) -> tuple[float, list[list[Fit]]]:
    """Seconds, and of each task and strength the fit."""
    x, y = ([torch.from_numpy(each) for each in part] for part in ([t.x for t in tasks], [t.y for t in tasks]))
    began = time.process_time()
    fits = fit_logistic(x, y, STRENGTHS)
    seconds = time.process_time() - began
    if not fits.converged.all():
        raise SystemExit(f"{int((~fits.converged).sum())} of our fits did not converge")
    found = zip(tasks, fits.weight.numpy(), fits.bias.numpy(), strict=True)
    return seconds, [[of(t, *each) for each in zip(STRENGTHS, weights, biases, strict=True)] for t, weights, biases in found]


def theirs(tasks: list[Task], tolerance: float) -> tuple[float, list[list[Fit]]]:
    """The same of scikit-learn, one strength after the other."""
    seconds, fits = 0.0, []
    for each in tasks:
        fits.append([])
        for l2 in STRENGTHS:
            began = time.process_time()
            peer = LogisticRegression(C=1 / (len(each.x) * l2), tol=tolerance, max_iter=100_000)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                peer.fit(each.x, each.y)
            seconds += time.process_time() - began
            fits[-1].append(of(each, l2, peer.coef_, peer.intercept_))
    return seconds, fits


def gaps(one: list[list[Fit]], other: list[list[Fit]]) -> np.ndarray:
    """By how many nats the objective of `other` is above, for each task and strength."""
    return np.array([[b.objective - a.objective for a, b in zip(*sides, strict=True)] for sides in zip(one, other, strict=True)])


def apart(tasks: list[Task], one: list[list[Fit]], other: list[list[Fit]]) -> np.ndarray:
    """By how many held-out images the numbers of right ones differ, for each task and strength."""
    right = [[[int((fit.classes == t.truth).sum()) for fit in fits] for t, fits in zip(tasks, side, strict=True)] for side in (one, other)]
    difference: np.ndarray = np.abs(np.subtract(*right))
    return difference


def raised(whose: str, file: Path) -> float:
    """MB by which the fits raise the peak of this process; a fit of scikit-learn takes the same for every strength."""
    with np.load(file) as stored:
        tasks = [Task(*(stored[f"{name}{i}"] for name in Task._fields)) for i in range(len(TASKS))]
    before = own_memory.resident()
    own_memory.reset_peak()
    if whose == "ours":
        ours(tasks)
    else:
        LogisticRegression(C=1 / len(tasks[0].x), tol=TOLERANCE).fit(tasks[0].x, tasks[0].y)
    return own_memory.peak() - before


def peak(whose: str, tasks: list[Task]) -> float:
    """The same of a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "features.npz")
        np.savez(file, **{f"{name}{i}": part for i, each in enumerate(tasks) for name, part in each._asdict().items()})
        command = [sys.executable, "-m", "benchmarks.logistic", whose, str(file)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rows(bench: Bench) -> Iterator[Row]:
    """Time, what both say, and memory."""
    tasks = [task(bench, number) for number in range(len(TASKS))]
    repeats = [ours(tasks) for _ in range(REPEATS)]
    own, found = median(seconds for seconds, _ in repeats), repeats[0][1]
    other, expected = theirs(tasks, TOLERANCE)
    yield Row("logistic: time of scikit-learn against ours", other / own, "ratio", 3, 10, at_least=True)
    yield Row("logistic: ours, 45 strengths of 4 tasks", own, "s")
    above, images = gaps(found, expected), f"of {len(tasks[0].truth)} images"
    yield Row("logistic: our objective above theirs, at most", -above.min(), "nats", 1e-9)
    yield Row(f"logistic: theirs within {NEAR:g} nats of ours", int((above < NEAR).sum()), f"of {above.size} fits")
    yield Row("logistic: accuracies of those differ by", int(apart(tasks, found, expected)[above < NEAR].max()), images, 1, 0)
    yield Row("logistic: accuracies of all differ by", int(apart(tasks, found, expected).max()), images)
    first = tasks[:1]
    single = median(ours(first)[0] for _ in range(REPEATS))
    other, early = theirs(first, 1e-4)
    yield Row("logistic: at its default tolerance, one task", other / single, "ratio")
    yield Row("logistic: accuracies of that differ by", int(apart(first, found[:1], early).max()), images)
    yield Row("logistic: memory of ours", peak("ours", tasks), "MB")
    yield Row("logistic: memory of one fit of scikit-learn", peak("theirs", tasks), "MB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(raised(sys.argv[1], Path(sys.argv[2])))
