"""A driver killed at a random moment loses nothing that was committed and at most an epoch; `make chaos` kills ten times.

The moment is a number of printed lines and a part of a second, so that it is drawn from the whole of a run on any machine. A
worker is killed in `tests/sweeps/test_main_job.py`.
"""

import random
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import driver
from tests.chaos.kill import repeated, strike, the_driver, touched
from tests.driver import SMOKE, command

LINES = 90  # an undisturbed run prints a few less before its tables


@pytest.mark.ray
@pytest.mark.slow  # a cluster, two cold workers, and the same command again
@pytest.mark.timeout(900)
def test_a_killed_driver_loses_nothing(fresh_root, request):
    seed = secrets.randbelow(1 << 31)
    print(f"seed {seed}")
    rng = random.Random(seed)
    lines, seconds = rng.randrange(LINES), rng.uniform(0, 1)
    root = fresh_root("killed")

    def wait(run):
        while len(run.lines) < lines and run.process.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds)

    with ThreadPoolExecutor(1) as beside:
        killing = beside.submit(strike, root, wait, the_driver)
        undisturbed = request.getfixturevalue("undisturbed")  # runs in this process meanwhile
        found = killing.result()
    print(f"killed after {lines} lines and {seconds:.2f} s, with {len(found.committed)} files committed")
    ended = command("run", *SMOKE, "--engine", "inline", "--root", root)
    assert ended.code == 0, ended.err
    assert touched(root, found.committed) == []
    assert repeated(root) <= 1
    assert driver.results(root) == driver.results(undisturbed)
    assert driver.tables(ended.out) == driver.tables((undisturbed / "printed.txt").read_text())
