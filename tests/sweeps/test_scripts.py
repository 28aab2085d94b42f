"""A script outside the package, with a space, a loss and a measure of its own: in this process and on Ray it gives the same.

Both scripts run at once on the cluster, each as `__main__` of a process in another folder; what they define travels by value.
"""

import runpy
import shutil
import sys
from contextlib import ExitStack

import pytest

from tests import driver
from tests.driver import REPOSITORY, Driver

SCRIPTS = {
    "methods": {"Pretrain": 6, "Finetune": 12, "InPCA": 2},
    "own_parts": {"Pretrain": 2, "ParticipationRatio": 2},
}


@pytest.fixture(scope="module")
def on_ray(cluster, fresh_root, tmp_path_factory):
    """Each script's run on the cluster, started, and its root."""
    folder = tmp_path_factory.mktemp("scripts")
    env = {name: cluster.env[name] for name in ("HOME", "RAY_AUTH_MODE")} | {"RAY_ADDRESS": cluster.address}
    with ExitStack() as runs:
        found = {}
        for name in SCRIPTS:
            shutil.copy(REPOSITORY / "tests" / "scripts" / f"{name}.py", folder)
            root = fresh_root(f"{name}-ray")
            found[name] = runs.enter_context(Driver(f"{name}.py", "run", "--root", root, cwd=folder, env=env)), root
        yield found


def in_process(name, root, folder, monkeypatch):
    script = shutil.copy(REPOSITORY / "tests" / "scripts" / f"{name}.py", folder)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "run", "--engine", "inline", "--root", str(root)])
    with driver.without_pictures(), pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    assert not end.value.code


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.ray
@pytest.mark.slow  # two drivers with two cold workers each
@pytest.mark.timeout(900)
def test_a_script_gives_the_same_in_process_and_on_ray(name, on_ray, fresh_root, tmp_path, monkeypatch):
    run, there = on_ray[name]
    here = fresh_root(f"{name}-inline")
    in_process(name, here, tmp_path, monkeypatch)
    assert run.ended() == 0, run.text
    found = driver.records(here)
    stages = [record.stage for record in found.values()]
    assert {stage: stages.count(stage) for stage in SCRIPTS[name]} == SCRIPTS[name]
    assert {record.outcome for record in found.values()} == {"complete"}
    assert driver.results(there) == driver.results(here)
    assert {identity: record.value for identity, record in driver.records(there).items()} == {
        identity: record.value for identity, record in found.items()
    }
