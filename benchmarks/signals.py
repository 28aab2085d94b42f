"""Signals without labels on 20,000 x 512 features against one training epoch of the mini preset of `to_contrast`.

The epoch is SimCLR's: its encoder, views, batch and precision, on as many made images as it has (what they show has no influence on
the time). Both take one thread and the memory of a worker; medians of processor time of alternating runs. Every pair of 20,000
features is 0.1 trillion multiplications: a monitor takes them in bfloat16, as the epoch does, which is what is held; its distance from
float32 is a row of its own, and the time of float32 one for information.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks import own_memory
from benchmarks.row import Row, shown
from contrast import Pretrain
from contrast.data.dataset import Images
from contrast.distributed import Processes
from contrast.heap import kept_heap
from contrast.loop import Step, train_epoch
from contrast.pretrain import initial_net
from contrast.signals import alignment, rankme, uniformity
from sweeps.catalog.to_contrast import to_contrast

SAMPLES, WIDTH, CLASSES, REPEATS = 20_000, 512, 10, 5
SIGNALS: dict[str, Callable[[Tensor, Tensor], object]] = {
    "RankMe": lambda x, _: rankme(x),
    "alignment": alignment,
    "uniformity in bfloat16": lambda x, _: uniformity(x, precision=torch.bfloat16),
    "uniformity in float32": lambda x, _: uniformity(x),
}
HELD = tuple(SIGNALS)[:3]


def features() -> tuple[Tensor, Tensor]:
    """Two views of samples around ten centres, with a spectrum that decays as 1 / rank, in random order."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(0))
    scales = torch.arange(1, WIDTH + 1) ** -0.5
    x = (draw(CLASSES, WIDTH)[torch.arange(SAMPLES) % CLASSES] + draw(SAMPLES, WIDTH)) * scales
    x = x[torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(1))]
    return x, x + 0.3 * draw(SAMPLES, WIDTH) * scales


def epoch() -> Callable[[], object]:
    """A function that trains for one epoch as the mini preset does."""
    space = to_contrast("mini").space
    stage = space.pretrained("simclr", 0)  # type: ignore[attr-defined]
    assert isinstance(stage, Pretrain)
    draws, count = np.random.default_rng(0), CLASSES * (stage.data.per_class or 5000)
    labels = np.arange(count) % CLASSES
    images = Images(draws.integers(0, 256, (count, *stage.data.shape), dtype=np.uint8), labels, np.arange(count))
    net = initial_net(stage.data, stage.encoder, stage.head, 0).to(memory_format=torch.channels_last)
    optimizer = stage.optimizer.build(net)
    step = Step(stage.views, stage.loss, None, torch.bfloat16, torch.device("cpu"), Processes(), None, None)
    lr = partial(stage.schedule.within, stage.optimizer.lr, 1, stage.epochs)
    return lambda: train_epoch(net, images, step, optimizer, batch_size=stage.batch_size, lr=lr, seed=0, epoch=1, batching=None)


def seconds(work: Callable[[], object]) -> float:
    """Of processor time."""
    start = time.process_time()
    work()
    return time.process_time() - start


def raised(name: str) -> float:
    """MB by which one signal raises the peak of this process, above the features."""
    views = features()
    before = own_memory.resident()
    own_memory.reset_peak()
    SIGNALS[name](*views)
    return own_memory.peak() - before


def rows() -> Iterator[Row]:
    """Shares of an epoch, what is approximate of them, and memory."""
    x, y = features()
    train = epoch()
    times: dict[str, list[float]] = {name: [] for name in ("epoch", *SIGNALS)}
    for _ in range(REPEATS):
        times["epoch"].append(seconds(train))
        for name, signal in SIGNALS.items():
            times[name].append(seconds(lambda signal=signal: signal(x, y)))  # type: ignore[misc]
    taken = {name: statistics.median(each) for name, each in times.items()}
    yield Row("signals: one epoch of to_contrast's mini preset", taken["epoch"], "s")
    for name in HELD:
        yield Row(f"signals: {name}", taken[name] / taken["epoch"], "of an epoch", 0.1, 0.05)
    yield Row(
        "signals: RankMe, alignment, uniformity together", sum(taken[name] for name in HELD) / taken["epoch"], "of an epoch", 0.1, 0.05
    )
    yield Row("signals: uniformity in float32", taken["uniformity in float32"] / taken["epoch"], "of an epoch")
    apart = abs(uniformity(x, precision=torch.bfloat16).item() - uniformity(x).item())
    yield Row("signals: uniformity in bfloat16 from that in float32", apart, "", 1e-3, 1e-4)
    singular = torch.linalg.svdvals(x[:4000].double())
    shares = singular / singular.sum()
    yield Row("signals: RankMe from that by SVD", abs(rankme(x[:4000]) - float((-(shares * shares.log()).sum()).exp())), "", 1e-9, 1e-10)
    yield Row("signals: features", x.nbytes / 1e6, "MB")
    for name in SIGNALS:
        command = [sys.executable, "-m", "benchmarks.signals", name]
        memory = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        yield Row(f"signals: memory of {name}", memory, "MB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 2:
        print(raised(sys.argv[1]))
    else:
        with kept_heap():
            sys.exit(shown(rows()))
