"""The step schedule: the learning rate is multiplied by a factor after chosen epochs."""

from dataclasses import dataclass

from contrast.component import require
from contrast.optim.schedule import Schedule, refuse_unless_inside


@dataclass(frozen=True)
class DecaySteps(Schedule):
    """lr * factor ** (number of epochs in `after` that are over), as in x 0.2 after 60, 75 and 90 of 100 (PROTOCOL 1.4, 4.3).

    `after` rises strictly from 1 and lies inside the training; 0 < `factor` <= 1.
    """

    after: tuple[int, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        rises = all(a < b for a, b in zip((0, *self.after), self.after, strict=False))
        require(len(self.after) > 0 and rises, self, "after", "must be epochs of 1 or above in rising order", "For example (60, 75, 90).")
        require(0 < self.factor <= 1, self, "factor", "must be above 0 and at most 1", "0.1 and 0.2 are usual.")

    def at(self, lr: float, epoch: int, epochs: int) -> float:
        """The learning rate of `epoch`."""
        refuse_unless_inside(epoch, epochs)
        return lr * self.factor ** sum(epoch > over for over in self.after)

    @property
    def fewest_epochs(self) -> int:
        """One more than the last of `after`, which would have no effect else."""
        return self.after[-1] + 1
