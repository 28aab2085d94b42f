"""Real runs on one root, each a driver of its own through Ray: a declaration that grows, two drivers at once, and refusals.

    python -m benchmarks.one_root [extension|sharing|refusals ...]

Extension: the search of `benchmarks/grown.py` with more trials, then further seeds, a further choice of a knob and one more
measure; after each, what was there must be untouched, nothing computed twice, and nothing new computed in vain. Sharing: two
different sweeps that are started together compute what both need once. Refusals: the same sweep twice, and a GPU where none is.
"""

import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.row import Row, shown
from sweeps.store import read_record

WAYS = ("trials", "seeds", "choices", "measures")
PATIENCE = 300.0


def command(what: str, preset: str, root: Path, *more: str) -> list[str]:
    """A command line of the script."""
    return [sys.executable, "-m", "benchmarks.grown", what, "--preset", preset, "--root", str(root), *more]


def ended(argv: list[str], code: int = 0) -> tuple[str, float]:
    """What a command printed, and its seconds; ends the benchmark where it ends otherwise than it must."""
    begun = time.monotonic()
    run = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=PATIENCE)
    if run.returncode != code:
        raise SystemExit(f"{' '.join(argv[1:])} ended with {run.returncode}, not {code}:\n{run.stdout[-3000:]}")
    return run.stdout, time.monotonic() - begun


def begun_with(ending: ExitStack, argv: list[str]) -> "subprocess.Popen[bytes]":
    """A command that runs on, and is told to end (SIGINT: to save and leave) where the benchmark ends before it."""
    run = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ending.callback(run.wait)
    ending.callback(lambda: run.send_signal(signal.SIGINT) if run.poll() is None else None)
    return run


def held(root: Path) -> dict[Path, tuple[int, str]]:
    """Every record of a finished stage: when it was written, and what it holds."""
    found = root.glob("store/*/*/record.json")
    return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in found}


def attempts(root: Path) -> int:
    """How often a stage was begun."""
    return len(list(root.glob("store/*/*/*/log.txt")))


def pretrainings(root: Path) -> int:
    """The pretrainings that are finished."""
    records = [read_record(path) for path in root.glob("store/Pretrain/*/record.json")]
    return sum(record is not None and record.outcome == "complete" for record in records)


def launched(preset: str, root: Path) -> dict[str, Any]:
    """What `status` tells of the last launch."""
    told: dict[str, Any] = json.loads(ended(command("status", preset, root, "--json"))[0])
    return dict(told["last_launch"])


def extension(root: Path) -> Iterator[Row]:
    """Four ways to ask for more of the same sweep."""
    ended(command("run", "start", root))
    for way in WAYS:
        before, begun = held(root), attempts(root)
        ended(command("run", way, root))
        after, launch = held(root), launched(way, root)
        new = len(after) - len(before)
        yield Row(f"extension by {way}: stages reused", launch["reused"], "stages")
        yield Row(f"extension by {way}: stages that are new", new, "stages", 1, at_least=True)
        yield Row(f"extension by {way}: computed beyond them", launch["computed"] - new, "stages", 0, exactly=True)
        yield Row(f"extension by {way}: begun beyond them", attempts(root) - begun - new, "attempts", 0, exactly=True)
        touched = sum(after.get(path) != old for path, old in before.items())
        yield Row(f"extension by {way}: records touched", touched, "files", 0, exactly=True)


def sharing(root: Path) -> Iterator[Row]:
    """Two sweeps whose six pretrainings are the same, started together with one slot each."""
    begun = time.monotonic()
    sweeps = ("start", "other")
    with ExitStack() as ending:
        runs = [begun_with(ending, command("run", name, root, "--slots", "1")) for name in sweeps]
        codes = [run.wait(PATIENCE) for run in runs]
    yield Row("two sweeps at once: drivers that failed", sum(code != 0 for code in codes), "drivers", 0, exactly=True)
    yield Row("two sweeps at once: pretrainings, both need 6", pretrainings(root), "stages", 6, exactly=True)
    computed = [launched(name, root)["computed"] for name in sweeps]
    for name, count in zip(sweeps, computed, strict=True):
        yield Row(f"two sweeps at once: computed by `{name}`", count, "stages")
    yield Row("two sweeps at once: computed twice", sum(computed) - len(held(root)), "stages", 0, exactly=True)
    yield Row("two sweeps at once: attempts beyond one a stage", attempts(root) - len(held(root)), "attempts", 0, exactly=True)
    yield Row("two sweeps at once: wall", time.monotonic() - begun, "s")


def refusals(root: Path) -> Iterator[Row]:
    """The same sweep while it runs, and a GPU that no node has."""
    with ExitStack() as ending:
        first = begun_with(ending, command("run", "start", root))
        while not list(root.glob("sweeps/*/driver.lock")) and first.poll() is None:
            time.sleep(0.1)
        told, seconds = ended(command("run", "start", root), code=2)
        first.wait(PATIENCE)
    yield Row("the same sweep twice: refused after", seconds, "s", 5.0)
    yield Row("the same sweep twice: the first ends well", first.returncode, "exit code", 0, exactly=True)
    print(told.strip().splitlines()[-1])
    told, seconds = ended(command("run", "other", root, "--resources", "Pretrain=gpu:1"), code=2)
    yield Row("a GPU that is not there: refused after", seconds, "s", 30.0)
    print(told.strip().splitlines()[-1])


PARTS = {part.__name__: part for part in (extension, sharing, refusals)}


def rows(names: list[str]) -> Iterator[Row]:
    """These parts, or all, each on a new root."""
    for name in names or PARTS:
        with tempfile.TemporaryDirectory(prefix="one-root-") as root:
            yield from PARTS[name](Path(root))


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - set(PARTS):
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}. Parts: {', '.join(PARTS)}.")
    raise SystemExit(shown(rows(sys.argv[1:])))
