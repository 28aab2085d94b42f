"""What SimCLR is measured on, for us and for the peer: images, encoder, batch, schedule, and how a network is judged."""

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from contrast import CIFAR10, ResNet18, SmallResNet
from contrast.encoders.encoder import Encoder
from contrast.signals import knn_accuracy

BATCH, LR, TAU = 64, 0.05, 0.5
ENCODERS: dict[str, Encoder] = {"small": SmallResNet(16), "resnet18": ResNet18()}


@dataclass(frozen=True)
class Task:
    """One training: an encoder by name, images a class (a multiple of 32 gives whole batches), epochs, seed and precision."""

    encoder: str = "small"
    per_class: int = 512
    epochs: int = 10
    seed: int = 0
    precision: str = "fp32"

    @property
    def data(self) -> CIFAR10:
        """The training images."""
        return CIFAR10(per_class=self.per_class)

    def arguments(self) -> list[str]:
        """For the command line of a process that trains it; `read` is the way back."""
        return [json.dumps(vars(self))]

    @staticmethod
    def read(arguments: list[str]) -> "Task":
        """The task of this process."""
        (text,) = arguments
        return Task(**json.loads(text))


def root() -> Path:
    """The folder of images that CONTRAST_DATA names."""
    if "CONTRAST_DATA" not in os.environ:
        raise SystemExit("CONTRAST_DATA is not set: it must name the folder that holds cifar10/. Set it and begin again.")
    return Path(os.environ["CONTRAST_DATA"])


def timed(task: Task, epochs: Iterable[object]) -> dict[str, float]:
    """Drive a training of one thread epoch by epoch: images a second of processor time, by the median of its epochs."""
    seconds, began = [], time.process_time()
    for _ in epochs:
        now = time.process_time()
        seconds.append(now - began)
        began = now
    return {"images": len(task.data.load(root()).labels) / median(seconds)}


def knn(task: Task, features: Callable[[Tensor], Tensor]) -> float:
    """kNN accuracy in percent on the test split, the training images being the bank; `features` of pixels [N, 3, 32, 32] in [0, 1]."""
    bank, test = task.data.load(root()), CIFAR10().held_out("confirm").load(root())
    with torch.no_grad():
        parts = [features(torch.from_numpy(np.array(p)).float() / 255) for i in (bank, test) for p in np.array_split(i.pixels, 40)]
    found = torch.cat(parts)
    labels, wanted = (torch.from_numpy(np.array(images.labels)) for images in (bank, test))
    return knn_accuracy(found[len(labels) :], wanted, found[: len(labels)], labels)
