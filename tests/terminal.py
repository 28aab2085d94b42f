"""A sweep on a pseudo-terminal, left with one Ctrl-C, taken up again and left with two.

Keys go to the whole foreground group of processes, as from a keyboard.
"""

import os
import pty
import re
import select
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests import driver
from tests.driver import REPOSITORY

SCRIPT = REPOSITORY / "tests" / "scripts" / "slow.py"
CTRL_C = b"\x03"


class Terminal:
    """`python slow.py run` as the session leader of a pseudo-terminal; what it shows is `shown`, without escape sequences."""

    def __init__(self, root: Path, env: Mapping[str, str]) -> None:
        argv = [sys.executable, str(SCRIPT), "run", "--root", str(root), "--slots", "1"]
        inside = dict(env) | {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, inside)  # nothing else: this process has threads
        self.raw = b""
        self.code: int | None = None
        self._until = ExitStack()

    def __enter__(self) -> "Terminal":
        self._until.callback(os.close, self.handle)
        self._until.callback(self.wait)
        self._until.enter_context(driver.ended_with_the_session(self.pid))
        return self

    def __exit__(self, *_: object) -> None:
        self._until.close()

    @property
    def shown(self) -> str:
        """All that was shown so far."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw.decode(errors="replace"))

    def watch(self, until: Callable[["Terminal"], bool]) -> None:
        """Read on until `until(self)` is true, and then what is there already."""
        end = time.monotonic() + driver.PATIENCE
        while not until(self):
            assert time.monotonic() < end, self.shown[-4000:]
            self._read(0.1)
        while self._read(0):
            pass

    def _read(self, seconds: float) -> bool:
        if not select.select([self.handle], [], [], seconds)[0]:
            return False
        try:
            self.raw += os.read(self.handle, 1 << 16)
        except OSError:  # the other side is closed
            time.sleep(seconds / 2)
            return False
        return True

    def press(self, key: bytes) -> None:
        """A key."""
        os.write(self.handle, key)

    def ended(self) -> bool:
        """Whether the process has ended; then `code` is its exit code."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    def wait(self) -> None:
        """Wait for the end."""
        while not self.ended():
            time.sleep(0.05)


@dataclass(frozen=True)
class Story:
    """Two chapters: what was shown, exit codes, epochs saved by the end of each; how long the second took to end, and what it left."""

    root: Path
    shown: list[str]
    codes: list[int | None]
    saved: list[int]
    seconds: float
    all_gone: bool
    last_bytes: bytes


def tell(root: Path, env: Mapping[str, str]) -> Story:
    """Run, press Ctrl-C, run the same command, press Ctrl-C twice."""
    with Terminal(root, env) as first:
        first.watch(lambda run: _saved(root) >= 6)
        first.press(CTRL_C)
        first.watch(Terminal.ended)
    after_one = _saved(root)
    with Terminal(root, env) as second:
        second.watch(lambda run: _saved(root) >= after_one + 6)
        family = driver.family(second.pid)[1:]
        second.press(CTRL_C)
        second.watch(lambda run: "press again to leave now" in run.shown)
        pressed = time.monotonic()
        second.press(CTRL_C)
        second.watch(Terminal.ended)
        all_gone = driver.gone(family, 5)
        seconds = time.monotonic() - pressed
    codes, saved = [first.code, second.code], [after_one, _saved(root)]
    return Story(root, [first.shown, second.shown], codes, saved, seconds, all_gone, second.raw[-40:])


def _saved(root: Path) -> int:
    """Epochs that are saved."""
    return driver.epochs(root)[1]
