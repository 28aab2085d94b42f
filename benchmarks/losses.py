"""NT-Xent and SupCon against pytorch-metric-learning: forward and backward of 2N = 4096 views, d = 128.

Time: medians of interleaved runs on one thread, in one process. Memory: how far the peak of a process that does nothing else
rises above what it held with the embeddings in memory. The peer's own NTXentLoss lists every pair of a positive and a
negative, 64 GiB at this size, so NT-Xent is measured against its SupConLoss with a class an image, which is the same number.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor

from benchmarks import own_memory
from benchmarks.row import Row, shown
from contrast.losses import NTXent, SupCon

IMAGES, WIDTH, CLASSES, TAU, REPEATS = 2048, 128, 10, 0.1, 7


def cases() -> dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]:
    """Ours and the peer's by name, as functions of the embeddings [N, 2, d]."""
    peer, each = SupConLoss(temperature=TAU), torch.arange(IMAGES)
    labels = torch.randint(0, CLASSES, (IMAGES,), generator=torch.Generator().manual_seed(1))
    return {
        "nt_xent": (lambda z: NTXent(TAU)(z, None), lambda z: peer(z.flatten(0, 1), each.repeat_interleave(2))),
        "sup_con": (lambda z: SupCon(TAU)(z, labels), lambda z: peer(z.flatten(0, 1), labels.repeat_interleave(2))),
    }


def embeddings(images: int = IMAGES) -> Tensor:
    return torch.randn(images, 2, WIDTH, generator=torch.Generator().manual_seed(0))


def step(loss: Callable[[Tensor], Tensor], z: Tensor) -> tuple[float, Tensor]:
    """The value and the gradient."""
    x = z.clone().requires_grad_()
    value = loss(x)
    (gradient,) = torch.autograd.grad(value, x)
    return value.item(), gradient


def seconds(loss: Callable[[Tensor], Tensor], z: Tensor) -> float:
    start = time.perf_counter()
    step(loss, z)
    return time.perf_counter() - start


def peak(name: str, whose: str) -> float:
    """MB by which one step raises the peak of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.losses", name, whose]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def raised(name: str, whose: str) -> float:
    """The same in this process: the first step, since a second one finds memory that the first has left."""
    loss, z = cases()[name][whose == "peer"], embeddings()
    before = own_memory.resident()
    own_memory.reset_peak()
    step(loss, z)
    return own_memory.peak() - before


def rows() -> Iterator[Row]:
    """What both say of a loss, then the times and the memory of both; raises where the two losses differ."""
    z = embeddings()
    for name, (ours, theirs) in cases().items():
        (value, gradient), (other, expected) = step(ours, z), step(theirs, z)
        if not (abs(value / other - 1) < 1e-5 and torch.allclose(gradient, expected, rtol=1e-3, atol=1e-7)):
            raise SystemExit(f"{name}: the two losses differ, {value} and {other}")
        times = [(seconds(ours, z), seconds(theirs, z)) for _ in range(REPEATS)]
        own, other = (statistics.median(t) for t in zip(*times, strict=True))
        yield Row(f"{name}: time of the peer against ours", other / own, "ratio", 2, 4, at_least=True)
        yield Row(f"{name}: ours", own * 1e3, "ms")
        memory, theirs_peak = peak(name, "ours"), peak(name, "peer")
        yield Row(f"{name}: memory against the peer's", memory / theirs_peak, "ratio", 0.5, 0.25)
        yield Row(f"{name}: memory of ours", memory, "MB")


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
