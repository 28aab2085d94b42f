"""The linear schedule: the learning rate falls by the same amount every step and ends at zero."""

from dataclasses import dataclass

from contrast.optim.schedule import Schedule, refuse_unless_inside


@dataclass(frozen=True)
class LinearDecay(Schedule):
    """lr (1 - t / T) for the step that has t of T steps before it (PROTOCOL 2.8, 8.4)."""

    def at(self, lr: float, epoch: int, epochs: int) -> float:
        """The learning rate reached at the end of `epoch`."""
        refuse_unless_inside(epoch, epochs)
        return lr * (1 - epoch / epochs)

    def within(self, lr: float, epoch: int, epochs: int, step: int, steps: int) -> float:
        """The learning rate of a step."""
        refuse_unless_inside(epoch, epochs)
        return lr * (1 - (epoch - 1 + step / steps) / epochs)
