"""`kill -9` at uniformly random times of a smoke sweep, then the same command again: `python -m tests.chaos.kill [--seed N]`.

Each kill, of the driver or of a worker, has a root of its own. Held: what was committed is untouched, at most one epoch is
computed again, and the results and the printed tables are those of a run that nobody disturbed, to the last digit.
"""

import argparse
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests import driver
from tests.driver import SMOKE, Driver

RAY = ("-m", "sweeps", "run", *SMOKE, "--slots", 2, "--root")
Victim = Callable[[Driver], psutil.Process | None]


@dataclass(frozen=True)
class Killed:
    """What a kill found: whether it hit, whether it was the driver, and what was committed then; `printed` until the end of that run."""

    hit: bool
    driver: bool
    committed: dict[str, tuple[int, str]]
    printed: str


def after(lines: int, seconds: float) -> Callable[[Driver], None]:
    """A moment: some time after so many lines were printed, or after the end. On any machine it is as far into the run."""

    def wait(run: Driver) -> None:
        while len(run.lines) < lines and run.process.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds)

    return wait


def trained(seconds: float) -> Callable[[Driver], None]:
    """A moment: some time after the first epoch is through, when there are workers."""

    def wait(run: Driver) -> None:
        run.wait_for(" epoch 1/")
        time.sleep(seconds)

    return wait


def the_driver(run: Driver) -> psutil.Process | None:
    """The driver, unless it has ended."""
    return next(iter(driver.family(run.process.pid)), None)


def a_worker(rng: random.Random) -> Victim:
    """Any one of the workers, if there are any."""
    return lambda run: rng.choice(found) if (found := run.workers()) else None


def strike(root: Path, wait: Callable[[Driver], None], victim: Victim, env: Mapping[str, str] = os.environ) -> Killed:
    """Start a run, wait, kill, and let what is left of it end; a run that lost a worker must end well."""
    with Driver(*RAY, root, env=env) as run:
        wait(run)
        workers, killed = run.workers(), victim(run)
        if killed is not None:
            driver.kill(killed)
        if killed is not None and killed.pid == run.process.pid:
            run.ended()
            assert driver.gone(workers, driver.PATIENCE), "workers outlive their driver"
            return Killed(True, True, driver.committed(root), run.text)
        committed = driver.committed(root)
        assert run.ended() == 0, run.text
    return Killed(killed is not None, False, committed, run.text)


def touched(root: Path, before: dict[str, tuple[int, str]]) -> list[str]:
    """The committed files that are not as they were."""
    after = driver.committed(root)
    return [path for path in before if after.get(path) != before[path]]


def repeated(root: Path) -> int:
    """Epochs that were computed again."""
    computed, different = driver.epochs(root)
    return computed - different


def undisturbed(root: Path) -> tuple[str, float, float]:
    """What a whole run prints, when its first epoch is through, and how long it takes, in seconds."""
    started = time.monotonic()
    with Driver(*RAY, root) as run:
        run.wait_for(" epoch 1/")
        first = time.monotonic() - started
        assert run.ended() == 0, run.text
    return run.text, first, time.monotonic() - started


def main() -> int:
    """Run all kills, print a line each, and say whether everything held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 31))
    parser.add_argument("--drivers", type=int, default=5)
    parser.add_argument("--workers", type=int, default=5)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    rng = random.Random(options.seed)
    victims = ["driver"] * options.drivers + ["worker"] * options.workers
    rng.shuffle(victims)
    held = True
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        whole = Path(folder, "undisturbed")
        text, first, length = undisturbed(whole)
        print(f"undisturbed: {length:.0f} s, the first epoch after {first:.0f} s", flush=True)
        for number, name in enumerate(victims):
            root, moment, found = _hit(name, rng, (first, length), Path(folder, str(number)))
            printed = _again(root) if found.driver else found.printed
            changed, twice = touched(root, found.committed), repeated(root)
            equal = driver.results(root) == driver.results(whole) and driver.tables(printed) == driver.tables(text)
            good = equal and not changed and twice <= 1
            held = held and good
            print(
                f"kill {number + 1}/{len(victims)} {name} {moment:.1f} s after {'the start' if found.driver else 'the first epoch'}: "
                f"{len(changed)} of {len(found.committed)} committed files touched, {twice} epochs repeated, "
                f"results {'equal' if equal else 'DIFFER'}  {'ok' if good else 'short'}",
                flush=True,
            )
    return 0 if held else 1


def _hit(name: str, rng: random.Random, times: tuple[float, float], root: Path) -> tuple[Path, float, Killed]:
    """Kill at a random moment of a run; a moment at which there was nothing to kill is drawn again, in another root."""
    first, length = times
    while True:
        if name == "driver":
            moment = rng.uniform(0, length)
            found = strike(root, after(0, moment), the_driver)
        else:
            moment = rng.uniform(0, length - first)
            found = strike(root, trained(moment), a_worker(rng))
        if found.hit:
            return root, moment, found
        print(f"{name} at {moment:.1f} s: nothing to kill, drawn again", flush=True)
        root = root.with_name(f"{root.name}+")


def _again(root: Path) -> str:
    with Driver(*RAY, root) as run:
        assert run.ended() == 0, run.text
    return run.text


if __name__ == "__main__":
    sys.exit(main())
