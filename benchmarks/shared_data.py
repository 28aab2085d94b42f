"""What a second worker on the same data set takes of memory for data: the images are one map of the node, which both read.

The first process has read every image and stays. The second does the same, and what it then holds for itself alone (unique set
size) is compared with what it held before: for all of CIFAR-10, 154 MB of pixels, and for a part of it that is no neighbourhood.
"""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks import own_memory
from benchmarks.row import Row, shown
from benchmarks.simclr_task import root
from contrast import CIFAR10

SELECTIONS = {"50,000 images": CIFAR10(), "10,000 of them": CIFAR10(per_class=1000)}
BATCH = 256


def read(name: str) -> None:
    """Read every image in batches of random order, as a training does, and print by how many MB this process' own memory grew."""
    CIFAR10(per_class=1).held_out("confirm").load(root())  # other images, by the same code, which is no data
    before = own_memory.unique()
    images = SELECTIONS[name].load(root())
    for rows in np.array_split(np.random.default_rng(0).permutation(len(images.labels)), len(images.labels) // BATCH):
        torch.from_numpy(images.pixels[rows]).float()
    print(own_memory.unique() - before, flush=True)
    sys.stdin.read()  # holds the images until the one who asked has seen enough


def rows() -> Iterator[Row]:
    """One a selection, and for information what the first worker alone shows."""
    root()
    for name in SELECTIONS:
        command = [sys.executable, "-m", "benchmarks.shared_data", name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
            assert first.stdout is not None
            alone = float(first.stdout.readline())
            second = float(subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout)
            first.communicate("")
        yield Row(f"data: own memory of a second worker, {name}", second, "MB", 50, 10)
        yield Row(f"data: of one that is alone, {name}", alone, "MB")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        read(sys.argv[1])
    else:
        sys.exit(shown(rows()))
