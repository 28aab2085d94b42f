"""A sweep's command line as tests use it: in this process, or as a process of its own that is watched and killed."""

import contextlib
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from matplotlib.figure import Figure

from analysis.figures.files import FORMATS
from sweeps.catalog import CATALOG
from sweeps.script import Declared, serve
from sweeps.store import Record, read_record

REPOSITORY = Path(__file__).resolve().parents[1]
SMOKE = ("quickstart", "--preset", "smoke")
PATIENCE = 300.0  # seconds; a machine may be slow, and only a hanging process is ended by it
_started: set[int] = set()


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, and what it printed."""

    code: int
    out: str
    err: str


def command(*argv: object, known: Mapping[str, Declared] = CATALOG, pictures: bool = False) -> Ended:
    """`python -m sweeps ...` in this process; pictures are drawn only if they are asked for."""
    out, err = io.StringIO(), io.StringIO()
    saving = contextlib.nullcontext() if pictures else without_pictures()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), saving:
        try:
            serve(dict(known), [str(part) for part in argv])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def without_pictures() -> Iterator[None]:
    """Reports with empty files for pictures, and MLflow without: to draw them takes longer than a smoke sweep."""

    def save(figure: Figure, folder: Path, name: str) -> dict[str, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = {kind: folder / f"{name}.{kind}" for kind in FORMATS}
        for path in paths.values():
            path.touch()
        return paths

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.report.write.save", save)
        patch.setattr("sweeps.picture.Picture.png", lambda self: None)
        yield


class Driver:
    """`python ARGV` in a process of its own; a context manager that leaves no process behind. `lines` is what it printed so far."""

    def __init__(self, *argv: object, cwd: Path = REPOSITORY, env: Mapping[str, str] = os.environ) -> None:
        path = os.pathsep.join([str(REPOSITORY), *filter(None, [env.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, *map(str, argv)],
            cwd=cwd,
            env=dict(env) | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._over = False
        self._until = contextlib.ExitStack()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Driver":
        self._until.callback(self.process.wait)
        self._until.enter_context(ended_with_the_session(self.process.pid))
        return self

    def __exit__(self, *_: object) -> None:
        self._until.close()

    @property
    def text(self) -> str:
        """All that was printed."""
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """The first `count` lines that the pattern is found in, as soon as they are printed."""
        with self._news:
            self._news.wait_for(lambda: self._over or len(self._found(pattern)) >= count, PATIENCE)
        found = self._found(pattern)
        assert len(found) >= count, f"{pattern!r} was not printed {count} times:\n{self.text}"
        return found[:count]

    def ended(self) -> int:
        """The exit code, at the end."""
        code = self.process.wait(PATIENCE)
        with self._news:
            self._news.wait_for(lambda: self._over, PATIENCE)
        return code

    def workers(self) -> list[psutil.Process]:
        """The processes that run units."""
        return [process for process in family(self.process.pid) if re.match(r"ray::\w+Trainable", title(process))]

    def _found(self, pattern: str) -> list[str]:
        return [line for line in self.lines if re.search(pattern, line)]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()


def family(pid: int) -> list[psutil.Process]:
    """A process and its descendants, itself first; none when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(processes: list[psutil.Process]) -> None:
    """Kill these processes, and wait until they are gone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=PATIENCE)


@contextlib.contextmanager
def ended_with_the_session(pid: int) -> Iterator[None]:
    """The process and its descendants end here, or when the session does; the tests in this process go before them."""
    _started.add(pid)
    try:
        os.setpriority(os.PRIO_PROCESS, pid, max(10, os.getpriority(os.PRIO_PROCESS, pid)))
        yield
    finally:
        end(family(pid))
        _started.discard(pid)


def end_all() -> None:
    """End whatever was started and still runs."""
    for pid in tuple(_started):
        end(family(pid))


def kill(process: psutil.Process) -> None:
    """`kill -9` of one process."""
    process.send_signal(signal.SIGKILL)


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    """Whether these processes end by themselves within some seconds; a zombie has ended."""
    until = time.monotonic() + seconds
    while any(alive(process) for process in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def alive(process: psutil.Process) -> bool:
    """Whether a process still runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def title(process: psutil.Process) -> str:
    """The command line, in which a Ray worker says what it runs; empty when it is gone."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


# ---- what a sweep left ----------------------------------------------------------------------------------------------


def records(root: Path) -> dict[str, Record]:
    """The finished stages below a root, by fingerprint."""
    read = [read_record(path) for path in sorted(root.glob("store/*/*/record.json"))]
    return {record.fingerprint: record for record in read if record is not None}


def results(root: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """Outcome and results of every finished stage, to the last digit."""
    return {identity: (record.outcome, record.results) for identity, record in records(root).items()}


def epochs(root: Path) -> tuple[int, int]:
    """How many epochs were computed over all attempts, and how many different ones."""
    found = [
        (log.parent.parent, line.split()[3])
        for log in root.glob("store/*/*/*/log.txt")
        for line in log.read_text(encoding="utf-8").splitlines()
        if re.match(r"\S+ \S+ epoch \d+ ", line)
    ]
    return len(found), len(set(found))


def files(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file below a folder: when it was written, and what it holds."""
    return {str(path.relative_to(folder)): _state(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def committed(root: Path) -> dict[str, tuple[int, str]]:
    """The records below a root and the files that they name: when each was written, and what it holds."""
    found = {}
    for path in sorted(root.glob("store/*/*/record.json")):
        record = read_record(path)
        assert record is not None, path
        found |= {str(one): _state(one) for one in (path, *(path.parent / record.attempt / name for name in record.files))}
    return found


def _state(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()


def tables(printed: str) -> str:
    """The tables of candidates and results in what a run printed."""
    return printed[printed.index("Candidates of") : printed.index("Stages by class")]
