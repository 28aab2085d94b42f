"""A sweep on a pseudo-terminal: the live page, Ctrl-C once (saves and leaves), Ctrl-C twice (leaves now).

One story of three chapters on one root: a run is left with one Ctrl-C, the same command goes on and is left with two, and what
was computed by then is finished in this process. Keys go to the whole foreground group, as from a keyboard.
"""

import os
import pty
import re
import runpy
import select
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import driver
from tests.driver import REPOSITORY

SCRIPT = REPOSITORY / "tests" / "scripts" / "slow.py"
EPOCHS = 2 * 40
CTRL_C = b"\x03"
pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,  # two clusters with two cold workers each
    pytest.mark.timeout(900),
]


class Terminal:
    """`python slow.py run` as the session leader of a pseudo-terminal; what it shows is `shown`, without escape sequences."""

    def __init__(self, root: Path) -> None:
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.environ |= {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
            os.execv(sys.executable, [sys.executable, str(SCRIPT), "run", "--root", str(root), "--slots", "2"])
        self.raw = b""
        self.code: int | None = None

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        driver.end(driver.family(self.pid))
        if self.code is None:
            os.waitpid(self.pid, 0)
        os.close(self.handle)

    @property
    def shown(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw.decode(errors="replace"))

    def watch(self, until, seconds: float = driver.PATIENCE) -> None:
        """Read on until `until(self)` is true."""
        end = time.monotonic() + seconds
        while not until(self):
            assert time.monotonic() < end, self.shown[-4000:]
            if select.select([self.handle], [], [], 0.1)[0]:
                try:
                    self.raw += os.read(self.handle, 1 << 16)
                except OSError:  # the other side is closed
                    time.sleep(0.05)

    def press(self, key: bytes) -> None:
        os.write(self.handle, key)

    def ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None


def saved(root: Path) -> int:
    """Epochs that are saved."""
    return driver.epochs(root)[1]


@dataclass(frozen=True)
class Story:
    """What was shown, exit codes, epochs saved at the end of each chapter, and how fast the second ended."""

    shown: list[str]
    codes: list[int | None]
    saved: list[int]
    seconds: float
    left: bool
    cursor: bytes


@pytest.fixture(scope="module")
def story(fresh_root):
    root = fresh_root("terminal")
    with Terminal(root) as first:
        first.watch(lambda run: saved(root) >= 6)
        first.press(CTRL_C)
        first.watch(Terminal.ended)
    after_one = saved(root)
    with Terminal(root) as second:
        second.watch(lambda run: saved(root) >= after_one + 6)
        family = driver.family(second.pid)[1:]
        second.press(CTRL_C)
        second.watch(lambda run: "press again to leave now" in run.shown)
        pressed = time.monotonic()
        second.press(CTRL_C)
        second.watch(Terminal.ended)
        left = driver.gone(family, 5)
        seconds = time.monotonic() - pressed
    return root, Story([first.shown, second.shown], [first.code, second.code], [after_one, saved(root)], seconds, left, second.raw[-40:])


def test_the_live_page_shows_title_progress_and_candidates(story):
    _, told = story
    for shown in told.shown:
        assert re.search(r"sweep slow +\d:\d\d", shown)
        assert re.search(r"stages done .* \d/4", shown)
        assert re.search(r"Slow [0-9a-f]{8} .* \d+/40", shown)
        assert re.search(r"candidate +state +seeds +loss +knobs", shown)
        assert re.search(r"0 +open +0/1 +rate=1\.\d+", shown)


def test_ctrl_c_once_saves_and_leaves(story):
    _, told = story
    assert "Ctrl-C: saving after the running epochs" in told.shown[0]
    assert told.codes[0] == 130
    assert "Traceback" not in told.shown[0]
    assert 6 <= told.saved[0] < EPOCHS


def test_ctrl_c_twice_leaves_within_five_seconds_and_leaves_no_process(story):
    _, told = story
    assert told.codes[1] == 130
    assert told.left
    assert told.seconds < 5
    assert b"\x1b[?25h" in told.cursor  # the cursor is shown again


def test_the_same_command_goes_on_and_repeats_no_epoch(story, monkeypatch, capsys):
    root, told = story
    assert told.saved[1] > told.saved[0]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "run", "--root", str(root), "--engine", "inline"])
    with driver.without_pictures(), pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert not end.value.code, capsys.readouterr().err
    computed, different = driver.epochs(root)
    assert different == EPOCHS
    assert computed - different <= 1  # the second Ctrl-C may have hit between saving and saying so
    assert {record.stage for record in driver.records(root).values()} == {"Slow", "Loss"}
