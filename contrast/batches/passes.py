"""Batches in random order, so many an epoch: a budget of steps that does not depend on how many images there are."""

from dataclasses import dataclass

import numpy as np

from contrast import random
from contrast.batches.batches import Batches
from contrast.component import UserError, require


@dataclass(frozen=True)
class Passes(Batches):
    """Batches of the passes over the data, one after another. An epoch is `steps` (at least 1) of them; None is one pass.

    Every pass has an order of its own and ends with a smaller batch, which is left out if it has a single image and `single` is off.
    """

    steps: int | None = None
    single: bool | None = None

    def __post_init__(self) -> None:
        require(self.steps is None or self.steps >= 1, self, "steps", "must be at least 1", "None is one pass over the data an epoch.")
        if self.single is False:
            object.__setattr__(self, "single", None)

    def check(self, batch_size: int, num_classes: int) -> None:
        """Every size will do."""

    def a_pass(self, count: int, batch_size: int) -> int:
        """Batches of one pass over `count` images; raises `UserError` where there is none."""
        left = count % batch_size
        batches = count // batch_size + (left > (0 if self.single else 1))
        if batches == 0:
            raise UserError(f"data has {count} image(s): a batch needs 2 or more, whatever batch_size ({batch_size}). Use more images.")
        return batches

    def number(self, count: int, batch_size: int, epoch: int, step: int) -> int:
        """In which pass, from 1, step `step` (from 0) of `epoch` (from 1) is."""
        if self.steps is None:
            return epoch
        return ((epoch - 1) * self.steps + step) // self.a_pass(count, batch_size) + 1

    def __call__(self, labels: np.ndarray, ids: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """Positions of the images of each batch of the epoch."""
        each = self.a_pass(len(ids), batch_size)
        steps = self.steps or each
        orders: dict[int, np.ndarray] = {}
        batches = []
        for place in range((epoch - 1) * steps, epoch * steps):
            number, batch = place // each + 1, place % each
            if number not in orders:
                orders[number] = random.permutation(seed, "finetune order", ids, epoch=number)
            batches.append(orders[number][batch * batch_size : (batch + 1) * batch_size])
        return batches
