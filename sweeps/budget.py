"""What a sweep may cost, and what it has cost: wall time, core-hours and GPU-hours over all of its launches.

A unit costs what it occupies, from its first message to its end, whether or not something comes of it. What was spent is
written down, flushed to the disk, with the messages of the units, at most once a second; so a kill loses of each running
unit what it did since its last epoch, or in the last second.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from contrast.component import UserError, require, require_types
from sweeps.resources import Resources
from sweeps.seal import sealed, unsealed
from sweeps.store import write_atomically

EVERY = 1.0  # seconds between two writes
NAMES = {"hours": "hours of wall time", "core_hours": "core-hours", "gpu_hours": "GPU-hours"}


@dataclass(frozen=True)
class Budget:
    """The most that a sweep may cost, over all its launches: `hours` of wall time, `core_hours`, `gpu_hours`; None is no limit."""

    hours: float | None = None
    core_hours: float | None = None
    gpu_hours: float | None = None

    def __post_init__(self) -> None:
        require_types(self)
        limits = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, limit in limits.items():
            ok = limit is None or 0 < limit < math.inf
            require(ok, self, name, "must be above 0 and finite", "Give a positive number, or leave it out for no limit.")
        if set(limits.values()) == {None}:
            raise UserError("Budget(): limits nothing. Give hours=, core_hours= or gpu_hours=, or leave out budget=.")


def limited(budget: Budget | None, **limits: float | None) -> Budget | None:
    """The budget with those limits that are given in place of its own."""
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return replace(budget or Budget(**given), **given) if given else budget


@dataclass(frozen=True)
class Spent:
    """What a sweep has cost so far."""

    hours: float = 0.0
    core_hours: float = 0.0
    gpu_hours: float = 0.0

    def exceeds(self, budget: Budget | None) -> str | None:
        """Which limit is reached, and how much was spent; None while there is something left of each."""
        for name, unit in NAMES.items():
            limit, spent = getattr(budget, name, None), getattr(self, name)
            if limit is not None and spent >= limit:
                return f"budget spent: {spent:.4g} of {limit:.4g} {unit}"
        return None

    def describe(self, budget: Budget | None) -> str:
        """All three in words, each with its limit if it has one."""
        parts = []
        for name, unit in NAMES.items():
            limit = getattr(budget, name, None)
            parts.append(f"{getattr(self, name):.4g}{'' if limit is None else f' of {limit:.4g}'} {unit}")
        return ", ".join(parts)


class Meter:
    """Counts what the units of one launch occupy, on top of what was `spent` before; `save` is given the sum now and then."""

    def __init__(
        self, budget: Budget | None = None, spent: Spent | None = None, save: Callable[[Spent], None] = lambda spent: None
    ) -> None:
        self.budget, self.spent, self.save = budget, spent or Spent(), save
        self._units: dict[int, Resources] = {}
        self._last: float | None = None
        self._saved = -math.inf

    def tick(self, now: float) -> None:
        """Count the time up to `now`, in seconds, for all units that run."""
        passed = max(0.0, now - self._last) / 3600 if self._last is not None else 0.0  # a clock that is set back costs nothing
        self._last = now
        cores = sum(shape.cpus for shape in self._units.values())
        cards = sum(shape.gpus for shape in self._units.values())
        before = self.spent
        self.spent = Spent(before.hours + passed, before.core_hours + cores * passed, before.gpu_hours + cards * passed)
        if not 0 <= now - self._saved < EVERY:
            self._saved = now
            self.save(self.spent)

    def begin(self, unit: int, shape: Resources, now: float) -> None:
        """A unit is heard of; from its first message on it counts."""
        self.tick(now)
        self._units[unit] = shape

    def end(self, unit: int, now: float) -> None:
        """A unit ended."""
        self.tick(now)
        self._units.pop(unit, None)

    def close(self, now: float) -> None:
        """The launch ends: what was spent is saved whole."""
        self.tick(now)
        self.save(self.spent)

    @property
    def over(self) -> str | None:
        """Which limit is reached, or None."""
        return self.spent.exceeds(self.budget)


class SpentFile:
    """`sweeps/<name>/spent.json`, sealed; `check` raises when this process may not write it any more."""

    def __init__(self, root: Path, sweep: str, budget: Budget | None = None, check: Callable[[], None] = lambda: None) -> None:
        self.path = root / "sweeps" / sweep / "spent.json"
        self.budget, self.check = budget, check

    def read(self) -> tuple[Spent, Budget | None]:
        """What was spent, and the budget of the launch that wrote it; nothing where no launch did."""
        if not self.path.exists():
            return Spent(), None
        try:
            found = unsealed("spent", self.path.read_bytes())
            return Spent(**found["spent"]), Budget(**found["budget"]) if found["budget"] else None
        except (OSError, ValueError, TypeError, KeyError) as error:
            cure = "Restore it, or delete it to count from nothing."
            raise UserError(f"{self.path}: does not say what the sweep has cost ({error}). {cure}") from error

    def write(self, spent: Spent) -> None:
        """Replace the file."""
        self.check()
        data: dict[str, Any] = {"spent": asdict(spent), "budget": None if self.budget is None else asdict(self.budget)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, sealed("spent", data))
