"""Fine-tuning against what it replaces, on one thread: see `benchmarks.logistic`, and two comparisons of our own.

A frozen encoder computes its features once; the same fine-tuning with the network in every step is what most scripts do. Core-tuning
goes through the encoder once a step, as cross-entropy does, so mixtures, their contrast and the projection are all that it costs more.
Times are processor time. A step is that of an epoch of eight, which ends with one pass over the 250 images for the curve.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

import torch

from benchmarks import logistic
from benchmarks.finetuned import ENCODER, TASKS, Bench
from benchmarks.row import Row, shown
from contrast import CoreTuning, CropFlip, Finetune, Plain

BATCH, STEPS, EPOCHS = 250, 8, 5


def frozen_rows(bench: Bench) -> Iterator[Row]:
    """30 epochs of the protocol; raises where both do not end at the same classifier, to rounding."""
    cached = Finetune(ENCODER, data=TASKS[0].fit("confirm"), seed=0)
    through = replace(cached, views=Plain())
    own, other = bench.run(cached), bench.run(through)
    one, two = (bench.done[stage].results["loss"] for stage in (cached, through))
    if not abs(one - two) < 1e-3:
        raise SystemExit(f"the two fine-tunings differ: losses {one} and {two}")
    yield Row("frozen: through the encoder against cached", other / own, "ratio", 10, at_least=True)
    yield Row("frozen: ours, 30 epochs of 2500 images", own, "s")


def core_rows(bench: Bench) -> Iterator[Row]:
    """Epochs of both by turns; the first of each is left out."""
    data = replace(TASKS[0], per_class=BATCH // 5)
    ce = Finetune(ENCODER, data, seed=0, epochs=EPOCHS + 1, frozen=False, batch_size=BATCH, views=CropFlip(), steps=STEPS)
    core = replace(ce, method=CoreTuning())
    turns = list(islice(zip(bench.epochs(ce), bench.epochs(core), strict=True), 1, EPOCHS + 1))
    plain, tuned = (median(times) / STEPS for times in zip(*turns, strict=True))
    yield Row("core-tuning: step against cross-entropy's", tuned / plain, "ratio", 1.3)
    yield Row(f"core-tuning: ours, batch of {BATCH}", tuned * 1e3, "ms")


def rows() -> Iterator[Row]:
    """All, on one encoder."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.run(ENCODER)
        yield from core_rows(bench)
        yield from frozen_rows(bench)
        yield from logistic.rows(bench)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(shown(rows()))
