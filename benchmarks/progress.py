"""Progress t_w of 30 checkpoints against a scalar search along the geodesic, one checkpoint after the other, on one thread.

The peer is the usual way: scipy's bounded search at its default tolerance, which at every evaluation makes the point of the geodesic
for all samples, [N, C], and its Bhattacharyya distance to the model, in float64 as ours. Its t_w is off by what that tolerance leaves;
both are compared with a search whose tolerance is tight. Times are processor time, medians of alternating runs. Memory: how far the
peak of a process that does nothing else rises above what it held with the log-probabilities in memory.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from analysis.geometry.progress import progress
from benchmarks import own_memory
from benchmarks.row import Row, shown

CHECKPOINTS, SIZES, REPEATS, TIGHT = 30, ((2500, 5), (5000, 100)), 7, 1e-10


def trajectory(samples: int, classes: int, checkpoints: int = CHECKPOINTS, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Log-probabilities float32 [T, N, C] of a training that learns most samples and gets some of them wrong, and labels [N]."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % classes
    noise = torch.randn(samples, classes, generator=draws)
    steps = torch.randn(checkpoints, samples, classes, generator=draws)
    knowledge = torch.linspace(0, 6, checkpoints)[:, None] * torch.rand(samples, generator=draws)
    logits = torch.linspace(0, 1, checkpoints)[:, None, None] * noise + 0.3 * steps
    logits[:, torch.arange(samples), labels] += knowledge
    return logits.log_softmax(2), labels


def geodesic(start: np.ndarray, end: np.ndarray, t: float) -> np.ndarray:
    """The point at `t` between two models, as square roots of probabilities [N, C]; samples of which both say the same stay."""
    angle = np.arccos(np.clip((start * end).sum(1, keepdims=True), 0, 1))
    apart = angle[:, 0] > 1e-6
    point, angle = start.copy(), angle[apart]
    point[apart] = (np.sin((1 - t) * angle) * start[apart] + np.sin(t * angle) * end[apart]) / np.sin(angle)
    return point


def searched(log_probs: Tensor, labels: Tensor, tolerance: float | None = None) -> np.ndarray:
    """t_w of each checkpoint by the scalar search; `tolerance` None is scipy's."""
    classes = log_probs.shape[2]
    start, end = np.full((len(labels), classes), classes**-0.5), np.eye(classes)[labels.numpy()]

    def distance(t: float, roots: np.ndarray) -> float:
        return float(-np.log((geodesic(start, end, t) * roots).sum(1).clip(1e-9)).mean())

    options = {} if tolerance is None else {"xatol": tolerance, "maxiter": 500}
    roots = (np.exp(0.5 * epoch.double().numpy()) for epoch in log_probs)
    found = [minimize_scalar(distance, bounds=(0, 1), args=(each,), method="bounded", options=options).x for each in roots]
    return np.array(found)


def seconds(run: Callable[[], object], times: int = 1) -> float:
    """Of one of so many runs."""
    began = time.process_time()
    for _ in range(times):
        run()
    return (time.process_time() - began) / times


def raised(whose: str, samples: int, classes: int) -> float:
    """MB by which one run raises the peak of this process."""
    case = trajectory(samples, classes)
    run = {"ours": progress, "peer": searched}[whose]
    before = own_memory.resident()
    own_memory.reset_peak()
    run(*case)
    return own_memory.peak() - before


def peak(whose: str, samples: int, classes: int) -> float:
    """The same of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.progress", whose, str(samples), str(classes)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rows() -> Iterator[Row]:
    """Of both sizes: time, agreement and memory."""
    for samples, classes in SIZES:
        case, name = trajectory(samples, classes), f"progress {samples} x {classes}"
        ours, theirs = partial(progress, *case), partial(searched, *case)
        tight = searched(*case, tolerance=TIGHT)
        found, expected = ours().numpy(), theirs()
        times = [(seconds(ours, 10), seconds(theirs)) for _ in range(REPEATS)]
        own, other = (median(t) for t in zip(*times, strict=True))
        yield Row(f"{name}: time of the search against ours", other / own, "ratio", 20, 50, at_least=True)
        yield Row(f"{name}: ours, {CHECKPOINTS} checkpoints", own * 1e3, "ms")
        yield Row(f"{name}: ours from the tight search, at most", float(np.abs(found - tight).max()), "of t_w", 1e-7)
        yield Row(f"{name}: the peer from it, at most", float(np.abs(expected - tight).max()), "of t_w")
        yield Row(f"{name}: memory of ours", peak("ours", samples, classes), "MB")
        yield Row(f"{name}: memory of the search", peak("peer", samples, classes), "MB")


def main() -> int:
    """0 if every hold is met."""
    torch.set_num_threads(1)
    return shown(rows())


if __name__ == "__main__":
    if len(sys.argv) == 4:
        torch.set_num_threads(1)
        print(raised(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    else:
        sys.exit(main())
