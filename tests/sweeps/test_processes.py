"""A stage in several processes of one worker: same weights as in one, saved once, ended with it however it ends.

On this machine the processes compute on the CPU over gloo, as they do on a cluster that claims to have GPUs.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import Pipe

import psutil
import pytest
import torch

from contrast import SGD, CropViews, Digits, Diverged, MLPHead, NTXent, Pretrain, SmallResNet, Stage, UserError, Workspace
from contrast.distributed import Processes
from contrast.stage import Memory
from sweeps import Resources, Sweep
from sweeps.engines import processes
from sweeps.engines.worker import execute
from sweeps.launch_checks import check_resources
from tests.driver import REPOSITORY, ended_with_the_session, gone
from tests.world import Score, Train, World

TRAINED = Pretrain(
    data=Digits(per_class=20),
    encoder=SmallResNet(2),
    views=CropViews(),
    loss=NTXent(0.2),
    head=MLPHead(2, out=8),
    batch_size=50,
    epochs=5,  # of 4 steps
    seed=0,
    optimizer=SGD(lr=0.05),
)
PARENT = """
from tests.sweeps.test_processes import Slow, prepare
from sweeps.engines import processes
for _ in processes.run(Slow("long"), prepare, 2, 1):
    print("computes", flush=True)
"""


def prepare(together, device):
    """A workspace that is used for nothing."""
    return Workspace(None, None, device=device, processes=together)


def fate(kind):
    return {"diverged": Diverged("the loss became nan"), "refused": UserError("x: is wrong."), "broken": KeyError("spoon")}[kind]


@dataclass(frozen=True)
class Slow(Stage):
    """One process does as it is told in epoch 2; the other has nothing to wait for."""

    what: str
    parallel = True

    def run(self, workspace):
        yield {"rank": float(workspace.processes.rank), "pid": float(os.getpid())}
        if self.what == "long":
            time.sleep(600)
        if workspace.processes.rank == 1:
            print("on its way")
            raise {"diverged": Diverged("the loss became nan"), "refused": UserError("x: is wrong."), "broken": KeyError("spoon")}[
                self.what
            ]
        time.sleep(600)
        return {}


@pytest.mark.slow  # four processes import torch
def test_two_processes_leave_the_weights_of_one_and_go_on_where_they_were_closed(tmp_path):
    folders = {name: tmp_path / name for name in ("one", "two")}
    for folder in folders.values():
        folder.mkdir()
    alone = list(TRAINED.run(Workspace(folders["one"], None)))
    together, told = partial(_workspace, folders["two"]), []
    running = processes.run(TRAINED, together, 2, 1)
    told += [next(running), next(running)]
    running.close()
    running = processes.run(TRAINED, together, 2, 1)
    told += list(running)
    assert [one.keys() for one in told] == [one.keys() for one in alone]
    for one, other in zip(told, alone, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
    weights = {name: Workspace(folder, None).so_far().weights() for name, folder in folders.items()}
    assert weights["one"].keys() == weights["two"].keys()
    for name, tensor in weights["one"].items():
        torch.testing.assert_close(weights["two"][name], tensor, rtol=1e-4, atol=1e-4, msg=name)
    assert len((folders["two"] / "curve.jsonl").read_text().splitlines()) == TRAINED.epochs  # written by one of them


def _workspace(folder, together, device):
    return Workspace(folder, None, device=device, processes=together)


@pytest.mark.parametrize(
    ("kind", "expected", "text"),
    [
        ("diverged", Diverged, "the loss became nan"),
        ("refused", UserError, r"x: is wrong\."),
        ("broken", processes.ChildFailed, r"(?s)test_processes\.py.*KeyError: 'spoon'"),
    ],
)
def test_a_child_tells_what_its_stage_raised_and_printed(kind, expected, text):
    ours, theirs = Pipe()
    for _ in range(2):
        ours.send_bytes(b"go")
    processes._run(Slow(kind), prepare(Processes(1, 2), torch.device("cpu")), theirs)
    first, second = (json.loads(ours.recv_bytes()) for _ in range(2))
    assert (first["kind"], first["metrics"]["rank"]) == ("epoch", 1)
    assert second["printed"] == "on its way\n"
    with pytest.raises(expected, match=text):
        raise processes._error(second)


@pytest.mark.slow  # processes that import torch
def test_what_one_child_raises_ends_the_others():
    running = processes.run(Slow("broken"), prepare, 2, 1)
    first = next(running)
    assert first["rank"] == 0
    with pytest.raises(processes.ChildFailed, match="KeyError: 'spoon'"):
        next(running)
    assert not psutil.pid_exists(int(first["pid"]))


@pytest.mark.slow  # processes that import torch
def test_a_child_that_is_killed_is_lost_not_a_mistake_of_the_stage():
    running = processes.run(Slow("long"), prepare, 2, 1)
    first = next(running)
    (second,) = [one for one in psutil.Process().children() if processes.CHILD in one.cmdline() and one.pid != int(first["pid"])]
    second.kill()
    with pytest.raises(processes.ChildLost, match=r"process 2 of 2 ended with -9"):
        next(running)


@pytest.mark.slow  # processes that import torch
def test_children_die_with_a_parent_that_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    with ended_with_the_session(parent.pid), parent.stdout:
        assert parent.stdout.readline() == "computes\n"
        children = psutil.Process(parent.pid).children()
        assert len(children) == 2
        parent.kill()
        parent.wait()
        assert gone(children, 30)


def test_a_unit_with_two_gpus_is_one_stage_in_two_processes_and_its_record_says_so(monkeypatch):
    said = []

    def run(stage, prepare, count, threads):
        workspace = prepare(Processes(0, count), torch.device("cpu"))
        said.append((stage, count, threads, workspace.processes.size, workspace.monitor is not None))
        return stage.run(replace(workspace, processes=Processes()))

    monkeypatch.setattr(processes, "run", run)
    monkeypatch.setattr(Train, "parallel", True)
    with World() as world:
        stage = Train(0.5, 0, 2)
        controller = world.controller(Sweep("two", lambda trial, seed, phase: {"score": Score(stage)}), searching=False)
        controller.resources = lambda stage: Resources(4, 2)
        unit = controller.next()
        list(execute(unit, world.place, Memory()))
        assert said == [(stage, 2, 2, 2, False)]
        record = world.population(Sweep("x", lambda trial, seed, phase: {}), searching=False).graph.store.held(
            stage, unit.identities[stage]
        )
        assert {name: record.made_by[name] for name in ("processes", "threads", "resources")} == {
            "processes": "2",
            "threads": "2",
            "resources": "cpu:4 gpu:2",
        }


def test_two_gpus_for_a_stage_that_runs_in_one_process_are_refused():
    check_resources(["Pretrain=gpu:2"], None, [TRAINED])
    check_resources(["Train=gpu:1"], None, [Train(0.5, 0)])
    with pytest.raises(UserError, match=r"--resources = cpu:1 gpu:2: Train runs in one process, so a second GPU has no effect"):
        check_resources(["Train=gpu:2"], None, [Train(0.5, 0)])
