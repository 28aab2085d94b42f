"""A script outside the package, with a space, a loss and a measure of its own: in this process and on Ray it gives the same.

On Ray it runs as `__main__` of a process in another folder, and what it defines travels by value.
"""

import runpy
import shutil
import sys

import pytest

from tests import driver
from tests.driver import REPOSITORY

SCRIPTS = {
    "methods": {"Pretrain": 6, "Finetune": 12, "InPCA": 2},
    "own_parts": {"Pretrain": 2, "ParticipationRatio": 2},
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.ray
@pytest.mark.slow  # a cluster, and two drivers with a cold worker each
@pytest.mark.timeout(900)
def test_a_script_gives_the_same_in_process_and_on_ray(name, cluster_run, fresh_root, tmp_path, monkeypatch):
    here = fresh_root(f"{name}-inline")
    script = shutil.copy(REPOSITORY / "tests" / "scripts" / f"{name}.py", tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "run", "--engine", "inline", "--root", str(here)])
    with driver.without_pictures(), pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    assert not end.value.code
    found = driver.records(here)
    stages = [record.stage for record in found.values()]
    assert {stage: stages.count(stage) for stage in SCRIPTS[name]} == SCRIPTS[name]
    assert {record.outcome for record in found.values()} == {"complete"}
    there = cluster_run.result().roots[name]
    assert driver.results(there) == driver.results(here)
    assert {identity: record.value for identity, record in driver.records(there).items()} == {
        identity: record.value for identity, record in found.items()
    }
