"""The attempts at a stage: a folder each, named by when it began. Only who made one writes to it, and one computes at a time.

While a process computes in an attempt it holds the attempt's log, which the kernel lets go at the process's death. Whoever begins
a new attempt waits for that: a worker whose driver was killed may be on its way to the end of an epoch still.
"""

import contextlib
import fcntl
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from contrast.saved import CURVE, STATE, first_lines, read_saved, row_files, saved_epoch

LOG = "log.txt"
PATIENCE, LOOK = 10.0, 0.05  # seconds: a worker without a driver lives no longer than the first


def attempts(folder: Path) -> list[Path]:
    """The attempts at a stage, oldest first."""
    named = re.compile("[0-9a-f]+-[0-9a-f]+")
    return sorted(path for path in folder.iterdir() if named.fullmatch(path.name) and path.is_dir()) if folder.is_dir() else []


def began(attempt: Path) -> float:
    """When an attempt began, in seconds since 1970; its name says it."""
    return int(attempt.name.partition("-")[0], 16) / 1e9


def seconds_saved(attempt: Path) -> float:
    """How long an attempt worked until it last saved an epoch."""
    curve = attempt / "curve.jsonl"
    return max(0.0, curve.stat().st_mtime - began(attempt)) if curve.exists() else 0.0


def remove_states(folder: Path) -> None:
    """Remove the training states of all attempts at a finished stage; one of them that still runs needs its own no more."""
    for attempt in attempts(folder):
        with contextlib.suppress(OSError):  # the record stands, whatever lies there in a state's place
            for file in (attempt / STATE, *row_files(attempt)):
                file.unlink(missing_ok=True)


def copied_state(old: Path, attempt: Path) -> bool:
    """Copy the training state of an earlier attempt; False when it is not sound, or was committed meanwhile, which removes it.

    The state first: who saves another epoch meanwhile adds a line to the curve, and lines beyond the state's epoch are cut.
    """
    try:
        shutil.copyfile(old / STATE, attempt / STATE)
        for file in row_files(old):
            shutil.copyfile(file, attempt / file.name)
        lines = first_lines(old / CURVE, saved_epoch(attempt))
        (attempt / CURVE).write_bytes(b"".join(line + b"\n" for line in lines))
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        lines = []
    if lines and read_saved(attempt)[0]:
        return True
    for file in (attempt / CURVE, attempt / STATE, *row_files(attempt)):
        file.unlink(missing_ok=True)
    return False


@contextlib.contextmanager
def computing(attempt: Path) -> Iterator[None]:
    """Others see that this process computes in the attempt now; not between two epochs, when it waits to be told to go on."""
    with open(attempt / LOG, "a", encoding="utf-8") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        yield


def wait_for_others(folder: Path) -> None:
    """Return when nobody computes in any attempt at a stage, or after ten seconds: who comes late then loses harmlessly."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and any(map(_computed_in, attempts(folder))):
        time.sleep(LOOK)


def _computed_in(attempt: Path) -> bool:
    try:
        with open(attempt / LOG, "r+", encoding="utf-8") as log:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (FileNotFoundError, IsADirectoryError, PermissionError):  # nobody that we could wait for
        return False
    return False
