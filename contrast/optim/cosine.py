"""The cosine schedule, one learning rate an epoch."""

import math
from dataclasses import dataclass

from contrast.component import require
from contrast.optim.schedule import Schedule, refuse_unless_inside


@dataclass(frozen=True)
class Cosine(Schedule):
    """lr_e = m + (lr - m) (1 + cos(pi e / E)) / 2 with m = lr * rate**3, for e = 1..E (PROTOCOL 1.4).

    So the first epoch is slightly below lr and the last equals m. 0 <= `rate` <= 1: 0 ends at zero, 1 stays at lr.
    """

    rate: float = 0.1

    def __post_init__(self) -> None:
        require(0 <= self.rate <= 1, self, "rate", "must lie in 0 to 1", "0.1 for pretraining, 0.2 for linear classifiers.")

    def at(self, lr: float, epoch: int, epochs: int) -> float:
        """The learning rate of `epoch` (1 to `epochs`); raises `UserError` for an epoch outside."""
        refuse_unless_inside(epoch, epochs)
        floor = lr * self.rate**3
        return floor + (lr - floor) * (1 + math.cos(math.pi * epoch / epochs)) / 2
