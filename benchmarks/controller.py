"""The controller and its engines against plain Ray Tune, and alone in virtual time.

    python -m benchmarks.controller [name of a row, or the beginning of one ...]

Take the figures on an idle machine: on a busy one the ratios of wall times say little, those of processor times somewhat more.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from benchmarks.row import Row
from sweeps.memory import PeakMemory

SMALL, LARGE = 1000, 10_000
UNITS, VIRTUAL = "benchmarks.units", "benchmarks.virtual_time"


@cache
def measured(module: str, *arguments: str) -> dict[str, Any]:
    """What a measurement in a process of its own printed last."""
    ended = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=os.environ, check=False)
    if ended.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{ended.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def units() -> list[Row]:
    """300 units of 0.05 s in one slot against plain Tune, which writes down results too, but not so that they outlive a crash."""
    ours, reused, silent, fresh = (measured(UNITS, name) for name in ("ours", "reused", "silent", "fresh"))
    return [
        Row("units: driver CPU against Tune, reused actors", ours["cpu"] / reused["cpu"], "ratio", 1.2, 1.0),
        Row("units: wall against Tune, reused actors", ours["wall"] / reused["wall"], "ratio", 1.2, 1.0),
        Row("units: driver CPU against Tune without its loggers", ours["cpu"] / silent["cpu"], "ratio"),
        Row("units: wall against Tune without its loggers", ours["wall"] / silent["wall"], "ratio"),
        Row("units: driver CPU a unit", 1e3 * ours["cpu"], "ms"),
        Row("units: driver CPU a trial, Tune, reused", 1e3 * reused["cpu"], "ms"),
        Row("units: driver CPU a trial, Tune without its loggers", 1e3 * silent["cpu"], "ms"),
        Row("units: wall a unit", 1e3 * ours["wall"], "ms"),
        Row("units: wall a trial, Tune, reused", 1e3 * reused["wall"], "ms"),
        Row("units: wall a trial, Tune, fresh actors", 1e3 * fresh["wall"], "ms"),
    ]


def slots() -> list[Row]:
    """24 units of 10 s in two slots, cold start and all, against their time alone over two."""
    alone = 24 * measured(UNITS, "solo")["wall"] / 2
    return [Row("slots: wall against solo time over slots", measured(UNITS, "long")["whole"] / alone, "ratio", 1.10, 1.03)]


def sharing() -> list[Row]:
    """Three methods, four seeds and four tasks, whose pretrainings are shared."""
    shared, leaves = measured(UNITS, "shared"), measured(UNITS, "leaves")
    return [
        Row("sharing: epochs executed against unique", shared["executed"] / shared["unique"], "ratio", 1.0, 1.0, exactly=True),
        Row("sharing: unique epochs against declared", shared["unique"] / shared["declared"], "ratio", 1.0, 1.0, exactly=True),
        Row("sharing: wall against one Tune trial a leaf", shared["wall"] / leaves["wall"], "ratio"),
    ]


def virtual() -> list[Row]:
    """Searches in virtual time with Optuna stubbed; then what Optuna itself takes."""
    small, large = (measured(VIRTUAL, str(candidates)) for candidates in (SMALL, LARGE))
    asked = measured(VIRTUAL, str(SMALL), "optuna")
    return [
        Row(f"virtual: {SMALL} candidates", 1e3 * small["event"], "ms an event", 2.0, 0.5),
        Row(f"virtual: {LARGE} candidates", 1e3 * large["event"], "ms an event", 2.0, 0.5),
        Row(f"virtual: {LARGE} against {SMALL}", large["event"] / small["event"], "ratio", 1.3, 1.0),
        Row("virtual: memory", max(small["candidate"], large["candidate"]) / 1e3, "KB a candidate", 20.0),
        Row(f"virtual: Optuna's TPE, {SMALL} candidates", 1e3 * asked["optuna"], "ms a candidate"),
    ]


ROWS: dict[str, Callable[[], list[Row]]] = {"units": units, "slots": slots, "sharing": sharing, "virtual": virtual}


def main(chosen: list[str]) -> int:
    """Print the rows; 0 when every hold is met."""
    peak, fine = PeakMemory().start(), True
    for group, rows in ROWS.items():
        if chosen and not any(name.partition(":")[0] == group for name in chosen):
            continue
        for row in rows():
            if not chosen or any(row.name.startswith(name) for name in chosen):
                print(row, flush=True)
                fine = fine and row.ok
    print(Row("peak memory of all processes", peak.stop() / 1e9, "GB"))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
