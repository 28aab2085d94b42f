"""One line a row: `name  value  unit  hold  aim  ok|short`; a row without a hold is for information."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A figure and the most that it may be; `at_least` when it is the least, `exactly` when it must be neither more nor less."""

    name: str
    value: float
    unit: str
    hold: float | None = None
    aim: float | None = None
    exactly: bool = False
    at_least: bool = False

    @property
    def ok(self) -> bool:
        """Whether the hold is met; a value that is not a number meets none."""
        if self.hold is None or self.value == self.hold:
            return True
        return not self.exactly and (self.value > self.hold if self.at_least else self.value < self.hold)

    def __str__(self) -> str:
        hold, aim = ("-" if limit is None else f"{limit:g}" for limit in (self.hold, self.aim))
        return f"{self.name:<44}  {self.value:>9.4g}  {self.unit:<18}  {hold:>5}  {aim:>5}  {'ok' if self.ok else 'short'}"


def shown(rows: Iterable[Row]) -> int:
    """Print the rows as they come; 0 when every hold is met."""
    fine = True
    for row in rows:
        print(row, flush=True)
        fine = fine and row.ok
    return 0 if fine else 1
