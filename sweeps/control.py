"""What is asked of a driver at work, from another terminal: other slots, or to leave after the running units.

It lies in one small file of the sweep's folder, replaced whole, at which the driver looks at most once a second; so it holds all
that was asked of this driver, the latest slots and whether to drain. The file names the driver that it is meant for, so that the
next driver of the sweep does not obey it.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from contrast.component import UserError
from sweeps.lock import Owner, driver

FILE, PAUSE = "control.json", 1.0


@dataclass(frozen=True)
class Wish:
    """From now on `slots` units at once; with `drain`, no new units, and leave when the running ones have ended."""

    slots: int | None = None
    drain: bool = False

    def after(self, earlier: "Wish") -> "Wish":
        """Both: the later slots, and a drain stays one."""
        return Wish(self.slots or earlier.slots, self.drain or earlier.drain)

    def beyond(self, heard: "Wish") -> "Wish":
        """What is new in it to whoever has heard the other."""
        return Wish(None if self.slots == heard.slots else self.slots, self.drain and not heard.drain)


def ask(folder: Path, wish: Wish) -> Owner:
    """Leave a wish for the driver that works on the sweep of this folder; returns who that is, `UserError` if there is none."""
    if wish.slots is not None and wish.slots < 1:
        raise UserError(f"slots = {wish.slots}: must be at least 1. Give the number of units that may run at once, or use `drain`.")
    owner = driver(folder)
    if owner is None:
        raise UserError(f"{folder}: no driver works on this sweep. Start it with `run`; this is for a driver at work.")
    wish = wish.after(_left(folder / FILE, owner.token) or Wish())
    draft = folder / f"{FILE}.{os.getpid()}.tmp"
    draft.write_text(json.dumps({"to": owner.token, **asdict(wish)}), encoding="utf-8")
    os.replace(draft, folder / FILE)
    return owner


class Control:
    """The driver's side: calling it gives a wish once, None while there is no new one. `now` in seconds."""

    def __init__(self, folder: Path, token: str, now: Callable[[], float] = time.monotonic) -> None:
        self.path, self.token, self.now = folder / FILE, token, now
        self._next = -float("inf")
        self._heard = Wish()

    def __call__(self) -> Wish | None:
        """The wish that was left since the last look."""
        if self.now() < self._next:
            return None
        self._next = self.now() + PAUSE
        wish = _left(self.path, self.token)
        if wish is None or wish == self._heard:
            return None
        new, self._heard = wish.beyond(self._heard), wish
        return new


def _left(path: Path, token: str) -> Wish | None:
    """What was asked of the driver of this token; None where there is nothing, or the disk is away for a moment, or it is torn."""
    try:
        return wished(path.read_text(encoding="utf-8"), token)
    except (OSError, UnicodeDecodeError):
        return None


def wished(text: str, token: str) -> Wish | None:
    """The wish that a file states for the driver of this token; None where it states none, as a torn or foreign file."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or set(found) != {"to", "slots", "drain"} or found["to"] != token:
        return None
    slots, drain = found["slots"], found["drain"]
    counted = slots is None or (type(slots) is int and slots >= 1)
    return Wish(slots, drain) if counted and isinstance(drain, bool) else None
