"""A schedule says which learning rate each epoch, or each step of it, is trained with."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from contrast.component import Component, UserError


@dataclass(frozen=True)
class Schedule(Component, ABC):
    """A function of the rate that an optimiser states and of the place in the training. Epochs count from 1, steps from 0."""

    @abstractmethod
    def at(self, lr: float, epoch: int, epochs: int) -> float:
        """The learning rate of `epoch` (1 to `epochs`), or the one reached at its end; raises `UserError` for an epoch outside."""

    def within(self, lr: float, epoch: int, epochs: int, step: int, steps: int) -> float:
        """The learning rate of step `step` (0 to `steps` - 1) of an epoch; that of the epoch unless a schedule moves inside it."""
        return self.at(lr, epoch, epochs)

    @property
    def fewest_epochs(self) -> int:
        """The shortest training that the schedule has a meaning for."""
        return 1


def refuse_unless_inside(epoch: int, epochs: int) -> None:
    """Raise `UserError` for an epoch that is not one of 1 to `epochs`."""
    if not 1 <= epoch <= epochs:
        raise UserError(f"epoch = {epoch}: must lie in 1 to {epochs}. The first epoch is 1.")
