"""The cosine schedule of SimCLR: one learning rate a step, linear from zero and then down to zero."""

import math
from dataclasses import dataclass

from contrast.component import require
from contrast.optim.schedule import Schedule, refuse_unless_inside


@dataclass(frozen=True)
class CosineSteps(Schedule):
    """lr t / w for the first w steps, then lr (1 + cos(pi (t - w) / (T - w))) / 2; t counts the steps before (PROTOCOL 1.4).

    T are all steps and w those of `warmup` epochs (0 or more, fewer than the training has). The first step has rate 0 then, as
    in the published code; `Warmup(Cosine(rate=0.0))` has the epoch-wise form.
    """

    warmup: int = 10

    def __post_init__(self) -> None:
        require(self.warmup >= 0, self, "warmup", "must be 0 or above", "The published runs have 10 epochs.")

    def at(self, lr: float, epoch: int, epochs: int) -> float:
        """The learning rate reached at the end of `epoch`."""
        refuse_unless_inside(epoch, epochs)
        return self._after(lr, float(epoch), epochs)

    def within(self, lr: float, epoch: int, epochs: int, step: int, steps: int) -> float:
        """The learning rate of a step."""
        refuse_unless_inside(epoch, epochs)
        return self._after(lr, epoch - 1 + step / steps, epochs)

    def _after(self, lr: float, done: float, epochs: int) -> float:
        if done < self.warmup:
            return lr * done / self.warmup
        return lr * (1 + math.cos(math.pi * (done - self.warmup) / (epochs - self.warmup))) / 2

    @property
    def fewest_epochs(self) -> int:
        """One more than the warm-up has."""
        return self.warmup + 1
