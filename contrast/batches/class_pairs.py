"""Batches of two images of each of many classes, which N-pairs learns from."""

from dataclasses import dataclass

import numpy as np

from contrast import random
from contrast.batches.batches import Batches
from contrast.component import UserError


@dataclass(frozen=True)
class ClassPairs(Batches):
    """Every batch has two images of each of batch_size / 2 different classes (PROTOCOL 2.4).

    In each epoch the images of a class are paired anew. A batch takes a pair from the classes that have most left, drawn by lot
    among equals; the epoch ends when too few classes have any, so classes of different sizes leave images out.
    """

    def check(self, batch_size: int, num_classes: int) -> None:
        """`batch_size` must be even and at most twice the number of classes."""
        if batch_size % 2 or batch_size > 2 * num_classes:
            rule = f"ClassPairs takes an even number of images, at most two of each of the {num_classes} classes"
            raise UserError(f"Pretrain.batch_size = {batch_size}: {rule}. Use {2 * num_classes}, or data of more classes.")

    def __call__(self, labels: np.ndarray, ids: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """Positions of the images of each batch of the epoch."""
        order = random.permutation(seed, "order", ids, epoch=epoch)
        of_class = [order[labels[order] == c] for c in range(int(labels.max()) + 1)]
        pairs = [list(rows[: len(rows) // 2 * 2].reshape(-1, 2)) for rows in of_class]
        if sum(len(own) > 0 for own in pairs) < batch_size // 2:
            rule = f"there are fewer than {batch_size // 2} classes of two images or more"
            raise UserError(f"Pretrain.batch_size = {batch_size}: {rule}. Lower it, or use more images a class.")
        batches: list[np.ndarray] = []
        while True:
            left = np.array([len(own) for own in pairs])
            if (left > 0).sum() < batch_size // 2:
                return batches
            lot = random.uniform(seed, "classes", np.arange(len(pairs)), 1, epoch=epoch, view=len(batches))[:, 0]
            chosen = np.argsort(-(left + lot), kind="stable")[: batch_size // 2]
            batches.append(np.concatenate([pairs[c].pop() for c in chosen]))
