"""A sweep has one driver: a lock file in its folder says who. A second driver says so and leaves.

The owner's identity (host, boot, pid, start time of the process, token) is written beside and linked to the lock's name,
which is atomic on POSIX. On the same boot a lock is stale when its process is gone; elsewhere when its heartbeat stopped.
Whoever looks at a lock in order to take it holds a second one, which the kernel frees at a process's death: else two that
found the same stale lock could each remove it, the slower one the lock that the faster had just put there.
"""

import contextlib
import fcntl
import json
import os
import platform
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from contrast.component import UserError

HEARTBEAT, STALE = 10.0, 60.0


@dataclass(frozen=True)
class Owner:
    """Who drives a sweep."""

    host: str
    boot: float
    pid: int
    started: float
    token: str


class Lock:
    """The lock of one folder; use as a context manager. `lost` is set when somebody took it over after a stopped heartbeat."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "driver.lock"
        self.folder = folder
        self.me = Owner(platform.node(), psutil.boot_time(), os.getpid(), psutil.Process().create_time(), secrets.token_hex(8))
        self.lost = threading.Event()
        self._end = threading.Event()
        self._beat = threading.Thread(target=self._heartbeat, name="lock-heartbeat", daemon=True)

    def __enter__(self) -> "Lock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f"driver.{self.me.token}.tmp")
        draft.write_text(json.dumps(asdict(self.me)), encoding="utf-8")
        try:
            self._take(draft)
        finally:
            draft.unlink()
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._beat.join()
        if _owner(self.path) == self.me:
            self.path.unlink()

    def check(self) -> None:
        """Raise `UserError` when the lock is lost: another driver writes now, and this one must write nothing more."""
        with contextlib.suppress(OSError):  # as for the heartbeat
            if _owner(self.path) != self.me:
                self.lost.set()
        if self.lost.is_set():
            rule = "another driver took this sweep over, since this one was not heard of for a minute; this one has stopped"
            raise UserError(f"{self.path}: {rule}. What is finished is kept; see with `status` how far the sweep is.")

    def _take(self, draft: Path) -> None:
        with open(self.path.with_name("driver.lock.door"), "w", encoding="utf-8") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            refuse_driven(self.folder)
            self.path.unlink(missing_ok=True)
            os.link(draft, self.path)

    def _heartbeat(self) -> None:
        while not self._end.wait(HEARTBEAT):
            with contextlib.suppress(OSError):  # the disk may be away for a moment; the next beat tells whether the lock is lost
                if _owner(self.path) != self.me:
                    self.lost.set()
                    return
                os.utime(self.path)


def driver(folder: Path) -> Owner | None:
    """Who drives the sweep of a folder: None when nobody does, or when the driver is dead and was not followed yet."""
    path = folder / "driver.lock"
    owner = _owner(path)
    return owner if owner is not None and not _stale(path, owner) else None


def refuse_driven(folder: Path) -> None:
    """Raise `UserError` when a living driver works on the sweep of a folder."""
    owner = driver(folder)
    if owner is not None:
        cure = "Wait for it or end it; `status` shows how far it is."
        raise UserError(f"{folder}: another driver works on this sweep (pid {owner.pid} on {owner.host}). {cure}")


@contextlib.contextmanager
def passing(root: Path) -> Iterator[Lock]:
    """The lock of a command that is no sweep's, in a folder below `sweeps/` that begins with a dot and goes with the command."""
    folder = root / "sweeps" / f".{secrets.token_hex(6)}"
    try:
        with Lock(folder) as lock:
            yield lock
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stale(path: Path, owner: Owner) -> bool:
    if owner.host == platform.node() and abs(owner.boot - psutil.boot_time()) < 5:
        try:
            process = psutil.Process(owner.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            if abs(process.create_time() - owner.started) <= 1:
                return False
        except psutil.NoSuchProcess:
            return True
    # Another machine, another boot, or another process of that number: or the clock was set. The heartbeat decides.
    try:
        return time.time() - path.stat().st_mtime > STALE
    except FileNotFoundError:
        return True


def _owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
