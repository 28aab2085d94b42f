"""InPCA of 360 models x 2500 samples x 5 classes against the reference computation, in equal precision, on one thread.

The reference is the published way: for 500 samples at a time the coefficients of all pairs, [500, M, M], their logarithms, clipped
where the published code clips, and the sum; centring by matrix products, and `eig`, which does not know that W is symmetric. Times are
processor time, medians of alternating runs. Memory: how far the peak of a process that does nothing else rises above what it held
with the log-probabilities in memory.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import Tensor

from analysis.geometry.bhattacharyya import FLOOR, pairwise
from analysis.geometry.inpca import embed
from benchmarks import own_memory
from benchmarks.progress import trajectory
from benchmarks.row import Row, shown

TRAJECTORIES, EPOCHS, SAMPLES, CLASSES, BATCH, REPEATS = 12, 30, 2500, 5, 500, 5
PRECISIONS = {"float64": torch.float64, "float32": torch.float32}


def models() -> Tensor:
    """Log-probabilities float32 [M, N, C] of all trajectories."""
    return torch.cat([trajectory(SAMPLES, CLASSES, EPOCHS, seed)[0] for seed in range(TRAJECTORIES)])


def ours(log_probs: Tensor, precision: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The distances and the coordinates."""
    distance, _ = pairwise(log_probs, precision)
    return distance.numpy(), embed(distance)[1].numpy()


def theirs(log_probs: Tensor, precision: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The same by the reference computation."""
    roots = np.sqrt(np.exp(log_probs.to(precision).numpy()))
    rows, columns = np.transpose(roots, (1, 0, 2)), np.transpose(roots, (1, 2, 0))
    distance = np.zeros((len(roots), len(roots)), rows.dtype)
    for start in range(0, len(rows), BATCH):
        coefficients = rows[start : start + BATCH] @ columns[start : start + BATCH]
        distance -= np.log(np.clip(coefficients, FLOOR, None)).sum(0)
    distance /= len(rows)
    centring = np.eye(len(roots), dtype=rows.dtype) - rows.dtype.type(1 / len(roots))
    values, vectors = np.linalg.eig(-0.5 * (centring @ distance @ centring))
    order = np.argsort(-np.abs(values))
    return distance, np.real(vectors[:, order] * np.sqrt(np.abs(values[order])))


def seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def raised(whose: str, precision: str) -> float:
    """MB by which one run raises the peak of this process."""
    log_probs = models()
    before = own_memory.resident()
    own_memory.reset_peak()
    {"ours": ours, "peer": theirs}[whose](log_probs, PRECISIONS[precision])
    return own_memory.peak() - before


def peak(whose: str, precision: str) -> float:
    """The same of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.inpca", whose, precision]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rows() -> Iterator[Row]:
    """Of both precisions: time, agreement and memory."""
    log_probs = models()
    exact, _ = theirs(log_probs, torch.float64)
    for name, precision in PRECISIONS.items():
        own, other = partial(ours, log_probs, precision), partial(theirs, log_probs, precision)
        times = [(seconds(own), seconds(other)) for _ in range(REPEATS)]
        fast, slow = (median(t) for t in zip(*times, strict=True))
        yield Row(f"inpca {name}: time of the reference against ours", slow / fast, "ratio", 5, 10, at_least=True)
        yield Row(f"inpca {name}: ours, {len(log_probs)} x {SAMPLES} x {CLASSES}", fast * 1e3, "ms")
        yield Row(f"inpca {name}: |dD| from float64, at most", float(np.abs(own()[0] - exact).max()), "nats", 1e-7)
        yield Row(f"inpca {name}: that of the reference", float(np.abs(other()[0] - exact).max()), "nats")
        yield Row(f"inpca {name}: memory of ours", peak("ours", name), "MB")
        yield Row(f"inpca {name}: memory of the reference", peak("peer", name), "MB")


def main() -> int:
    """0 if every hold is met."""
    torch.set_num_threads(1)
    return shown(rows())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        torch.set_num_threads(1)
        print(raised(sys.argv[1], sys.argv[2]))
    else:
        sys.exit(main())
