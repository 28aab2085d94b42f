"""A driver killed at a random moment loses nothing that was committed and at most an epoch; `make chaos` kills ten times.

The moment is a number of printed lines and a part of a second, so that it is drawn from the whole of a run on any machine. A
worker is killed in `tests/sweeps/test_main_job.py`.
"""

import pytest

from tests import driver
from tests.chaos.kill import repeated, touched
from tests.driver import SMOKE, command


@pytest.mark.ray
@pytest.mark.slow  # a cluster with two cold workers, and the same command again
@pytest.mark.timeout(900)
def test_a_killed_driver_loses_nothing(killed_run, undisturbed):
    found = killed_run.result()
    print(f"seed {found.seed}: killed after {found.moment}, with {len(found.killed.committed)} files committed")
    ended = command("run", *SMOKE, "--engine", "inline", "--root", found.root)
    assert ended.code == 0, ended.err
    assert touched(found.root, found.killed.committed) == []
    assert repeated(found.root) <= 1
    assert driver.results(found.root) == driver.results(undisturbed)
    assert driver.tables(ended.out) == driver.tables((undisturbed / "printed.txt").read_text())
