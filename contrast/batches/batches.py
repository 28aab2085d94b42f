"""A way to put batches together, for losses that want certain images side by side."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from contrast.component import Component


@dataclass(frozen=True)
class Batches(Component, ABC):
    """Decides the batches of each epoch; a draw depends on the samples' ids and labels, the seed and the epoch, and on nothing else."""

    @abstractmethod
    def check(self, batch_size: int, num_classes: int) -> None:
        """Raise `UserError` where such batches cannot be made from data of so many classes."""

    @abstractmethod
    def __call__(self, labels: np.ndarray, ids: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """Positions of the images of each batch of the epoch."""
