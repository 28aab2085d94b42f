"""One line a row: `name  value  unit  hold  aim  ok|short`; a row without a hold is for information."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A figure and the most that it may be; `exactly` when it must not be less either."""

    name: str
    value: float
    unit: str
    hold: float | None = None
    aim: float | None = None
    exactly: bool = False

    @property
    def ok(self) -> bool:
        """Whether the hold is met."""
        return self.hold is None or (self.value == self.hold if self.exactly else self.value <= self.hold)

    def __str__(self) -> str:
        hold, aim = ("-" if limit is None else f"{limit:g}" for limit in (self.hold, self.aim))
        return f"{self.name:<44}  {self.value:>9.4g}  {self.unit:<18}  {hold:>5}  {aim:>5}  {'ok' if self.ok else 'short'}"
