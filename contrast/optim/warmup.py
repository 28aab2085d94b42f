"""Linear warm-up, step by step, into another schedule; large batches need it."""

import math
from dataclasses import dataclass

from contrast.component import require
from contrast.optim.schedule import Schedule, refuse_unless_inside


@dataclass(frozen=True)
class Warmup(Schedule):
    """From `start` to the rate that `then` has in epoch `epochs`, linear in the steps of the first `epochs`; then `then` (PROTOCOL 1.4).

    The published runs warm up over 10 epochs from 0.01 where a batch has more than 256 images, which is for the declaration to
    ask for. `epochs` >= 1, fewer than the training has; `start` >= 0 is a learning rate.
    """

    then: Schedule
    epochs: int = 10
    start: float = 0.01

    def __post_init__(self) -> None:
        require(self.epochs >= 1, self, "epochs", "must be at least 1", "The published runs have 10; leave Warmup out for none.")
        require(0 <= self.start < math.inf, self, "start", "must be 0 or above and finite", "The published runs have 0.01.")
        require(
            not isinstance(self.then, Warmup), self, "then", "is a warm-up already", "Give the schedule that follows, such as Cosine()."
        )

    def at(self, lr: float, epoch: int, epochs: int) -> float:
        """The learning rate of `epoch`, in the warm-up that reached at its end."""
        refuse_unless_inside(epoch, epochs)
        return self._warming(lr, float(epoch), epochs) if epoch <= self.epochs else self.then.at(lr, epoch, epochs)

    def within(self, lr: float, epoch: int, epochs: int, step: int, steps: int) -> float:
        """The learning rate of a step."""
        refuse_unless_inside(epoch, epochs)
        if epoch <= self.epochs:
            return self._warming(lr, epoch - 1 + step / steps, epochs)
        return self.then.within(lr, epoch, epochs, step, steps)

    def _warming(self, lr: float, done: float, epochs: int) -> float:
        return self.start + (self.then.at(lr, self.epochs, epochs) - self.start) * done / self.epochs

    @property
    def fewest_epochs(self) -> int:
        """One more than the warm-up has, and no fewer than `then` takes."""
        return max(self.epochs + 1, self.then.fewest_epochs)
