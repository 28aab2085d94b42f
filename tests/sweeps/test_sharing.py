"""Two drivers at once in processes of their own, on one root: what both need is computed once, also when one is killed.

The processes are forked, so that none has to import anything, and run whole launches in process with stages that take a while.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from queue import Queue

import pytest
import torch
from rich.console import Console

from contrast.component import UserError
from contrast.saved import read_saved
from contrast.stage import Workspace
from sweeps import Sweep
from sweeps.attempts import computing
from sweeps.claims import Claims
from sweeps.launch import Options, launch
from sweeps.lock import passing
from sweeps.store import Store, read_record
from tests.driver import without_pictures
from tests.world import Score, Train, World

FORK = multiprocessing.get_context("fork")
PATIENCE = 120.0


@dataclass(frozen=True)
class Slow(Train):
    """Every epoch takes a twentieth of a second, and leaves a line that says who computed it."""

    def run(self, workspace):
        epochs = super().run(workspace)
        while True:
            time.sleep(0.05)
            try:
                metrics = next(epochs)
            except StopIteration as stop:
                return stop.value
            with open(workspace.folder.parents[3] / "epochs.txt", "a", encoding="utf-8") as file:
                file.write(f"{self.x} {self.seed} {workspace.last_metrics()} {os.getpid()}\n")
            yield metrics


class Projection:
    """Takes everything and sends nothing."""

    def send(self, rows):
        """Nothing."""

    def drain(self):
        """Nothing."""

    def close(self):
        """Nothing."""


def pair(trial, seed, phase):
    nets = [Slow(x, seed) for x in (0.1, 0.2)]
    return {f"score/{i}": Score(net) for i, net in enumerate(nets)}


def other(trial, seed, phase):
    return {"other": Score(Slow(0.2, seed), 2.0), "score": Score(Slow(0.1, seed))}


SWEEPS = {"pair": Sweep("pair", pair, seeds=(0, 1)), "other": Sweep("other", other, seeds=(1, 0, 2))}


def drive(root, name, gate, told):
    """One launch; says how it ended, and what it said."""
    said = StringIO()
    gate.wait()
    try:
        with without_pictures():
            outcome = launch(SWEEPS[name], Options(root, engine="inline"), Console(file=said, width=160))
        states = [replicate.state for replicate in outcome.population.candidates[0].replicates]
        told.put((name, states, said.getvalue()))
    except UserError as error:
        told.put((name, [], str(error)))


@pytest.fixture
def root(monkeypatch):
    monkeypatch.setattr("sweeps.launch.MlflowLog.open", lambda *_: Projection())
    with World() as world:
        yield world.root


@pytest.fixture
def start(root):
    """Starts drivers of sweeps that wait at one gate, and ends them."""
    processes, gate, told = [], FORK.Event(), FORK.Queue()

    def started(*names):
        for name in names:
            processes.append(FORK.Process(target=drive, args=(root, name, gate, told)))
            processes[-1].start()
        gate.set()
        return processes, lambda count: sorted(told.get(timeout=PATIENCE) for _ in range(count))

    yield started
    for process in processes:
        process.kill()
        process.join()


def computed(root: Path) -> Counter:
    """How often each epoch was computed."""
    lines = (root / "epochs.txt").read_text().splitlines()
    return Counter(line.rpartition(" ")[0] for line in lines)


def attempts(root: Path) -> list[int]:
    """How many attempts there were at each stage."""
    return [len([path for path in folder.iterdir() if path.is_dir()]) for folder in (root / "store").glob("*/*") if folder.is_dir()]


def test_two_sweeps_that_are_started_together_compute_what_both_need_once(root, start):
    _, heard = start("pair", "other")
    (_, other_states, other_said), (_, pair_states, pair_said) = heard(2)
    assert pair_states == ["complete"] * 2
    assert other_states == ["complete"] * 3
    counted = computed(root)
    assert len(counted) == 2 * 3 * 4
    assert set(counted.values()) == {1}, "epochs computed are unique epochs"
    assert set(attempts(root)) == {1}
    assert "is in progress in sweep" in pair_said + other_said
    assert "committed elsewhere" in pair_said + other_said


def test_when_a_driver_is_killed_the_other_goes_on_with_its_stage_at_once(root, start):
    (first,), heard = start("pair")
    while not (root / "epochs.txt").exists():
        assert first.is_alive()
        time.sleep(0.01)
    start("other")
    os.kill(first.pid, signal.SIGKILL)
    ((_, states, _),) = heard(1)
    assert states == ["complete"] * 3
    assert max(computed(root).values()) == 1, "every saved epoch was taken over"
    assert sorted(attempts(root))[-1] == 2
    records = [read_record(path) for path in (root / "store" / "Slow").glob("*/record.json")]
    assert len(records) == 2 * 3
    assert None not in records
    with passing(root) as lock:
        Claims(root, lock)
    assert [path.name for path in (root / "claims").iterdir()] == [".door"], "the next driver clears what a killed one claimed"


def test_the_same_sweep_started_twice_at_once_is_refused_one_time(root, start):
    _, heard = start("pair", "pair")
    refused, finished = sorted(heard(2), key=lambda told: len(told[1]))
    assert refused[1] == []
    assert "another driver works on this sweep" in refused[2]
    assert finished[1] == ["complete"] * 2
    assert set(computed(root).values()) == {1}


def compute(root, attempt, saved):
    """A worker in the middle of an epoch, with two saved."""
    with computing(attempt):
        space = Workspace(attempt, resolve=lambda stage: None)
        for epoch in (1, 2):
            space.save(epoch, {"loss": 1.0}, {"w": torch.zeros(1)})
        saved.set()
        FORK.Event().wait()


def test_who_goes_on_with_a_stage_waits_until_a_worker_without_a_driver_is_gone(root):
    store, stage = Store(root), Train(0.5, 0)
    saved, begun = FORK.Event(), Queue()
    worker = FORK.Process(target=compute, args=(root, store.begin(stage, "0" * 32), saved))
    worker.start()
    saved.wait()
    following = threading.Thread(target=lambda: begun.put(store.begin(stage, "0" * 32)))
    following.start()
    following.join(0.3)
    assert following.is_alive()
    worker.kill()
    following.join()
    assert read_saved(begun.get())[0] == 2
    worker.join()
