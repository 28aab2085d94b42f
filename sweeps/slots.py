"""How many units run at once: bounded from the start, and changed by what is asked of a driver at work."""

from collections.abc import Callable

from sweeps.control import Wish
from sweeps.event import Event


class Slots:
    """At most `limit` units at once, None for as many as the engine takes.

    `wishes`, asked before each unit, may change that up to `room`, the most that the engine can run (None: unknown), or set
    `draining`, after which no unit is handed out.
    """

    def __init__(self, limit: int | None = None, room: int | None = None, wishes: Callable[[], Wish | None] = lambda: None) -> None:
        self.limit, self.room, self.wishes = limit, room, wishes
        self.draining = False

    def full(self, running: int) -> bool:
        """Whether no further unit may run beside so many."""
        return self.limit is not None and running >= self.limit

    def heed(self, running: int) -> list[Event]:
        """Do what was asked for since the last look; what is to be said of it."""
        wish = self.wishes()
        if wish is None:
            return []
        said = []
        if wish.slots is not None:
            before, self.limit = self.limit, wish.slots if self.room is None else min(wish.slots, self.room)
            full = f" ({wish.slots} were asked for, and there is room for {self.room})" if self.limit < wish.slots else ""
            said.append(Event("slots", f"slots: {before or 'as many as fit'} -> {self.limit}{full}"))
        if wish.drain:
            self.draining = True
            said.append(Event("drain", f"drain: no new units, leaving when {running} running have ended"))
        return said
