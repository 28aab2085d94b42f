"""Batches in random order, all of them full."""

from dataclasses import dataclass

import numpy as np

from contrast import random
from contrast.batches.batches import Batches
from contrast.component import UserError


@dataclass(frozen=True)
class FullBatches(Batches):
    """The order is that of batches that are not named, and what is left at its end, fewer than `batch_size` images, is left out."""

    def check(self, batch_size: int, num_classes: int) -> None:
        """Every size will do."""

    def __call__(self, labels: np.ndarray, ids: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """Positions of the images of each batch of the epoch."""
        if batch_size > len(ids):
            raise UserError(f"batch_size = {batch_size}: is larger than the data ({len(ids)} images). Lower batch_size or use more images.")
        order = random.permutation(seed, "order", ids, epoch=epoch)
        return [order[start : start + batch_size] for start in range(0, len(order) - batch_size + 1, batch_size)]
