"""A driver that lost its lock writes nothing more: it stops at its next step and says why.

The lock is taken over by writing another owner into it, as a driver on another machine does after a minute of silence. Sweeps
of arithmetic run in this process, with a projection that only remembers what it is sent.
"""

import json
from dataclasses import asdict, replace
from io import StringIO

import pytest
from rich.console import Console

from contrast.component import UserError
from sweeps import Sweep
from sweeps.candidate import CandidateFiles
from sweeps.display import Display
from sweeps.launch import Options, launch
from sweeps.lock import Lock
from tests.driver import files
from tests.world import WORK, Score, Train, World


@pytest.fixture
def world():
    with World() as opened:
        yield opened


class Projection:
    """Takes everything and sends nothing."""

    def send(self, rows):
        """Nothing."""

    def drain(self):
        """Nothing."""

    def close(self):
        """Nothing."""


def taken_over(folder):
    """Another driver is in the lock of this folder."""
    path = folder / "driver.lock"
    owner = json.loads(path.read_text())
    path.write_text(json.dumps(owner | {"host": "another", "token": "of the other"}))


def space(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed))}


@pytest.mark.parametrize("moment", ["drawn", "epoch", "committed", "candidate"])
def test_a_driver_that_was_taken_over_stops_with_a_message_and_writes_nothing_more(world, monkeypatch, moment):
    folder, before, show = world.root / "sweeps" / "lost", {}, Display.event

    def event(display, heard):
        show(display, heard)
        if heard.kind == moment and not before:
            taken_over(folder)
            before.update(files(folder))

    monkeypatch.setattr(Display, "event", event)
    monkeypatch.setattr("sweeps.launch.MlflowLog.open", lambda *_: Projection())
    sweep = Sweep("lost", space, trials=3, maximize="score")
    with pytest.raises(UserError, match=r"lost/driver.lock: another driver took this sweep over.*status"):
        launch(sweep, Options(world.root, engine="inline"), Console(file=StringIO()))
    assert files(folder) == before
    assert not (world.root / "reports").exists()
    assert sum(WORK.values()) < 3 * 5


def test_a_lock_that_is_held_lets_candidates_be_written_and_a_lost_one_does_not(world):
    population = world.launch(Sweep("lost", space, trials=1, maximize="score"))
    folder = world.root / "sweeps" / "lost"
    with Lock(folder) as lock:
        guarded = CandidateFiles(world.root, "lost", lock.check)
        guarded.write(replace(population.candidates[0], reason="seen"))
        assert guarded.read()[0].reason == "seen"
        (folder / "driver.lock").write_text(json.dumps(asdict(replace(lock.me, token="of the other"))))
        with pytest.raises(UserError, match="another driver"):
            guarded.write(population.candidates[0])
        assert guarded.read()[0].reason == "seen"
        assert lock.lost.is_set()
    assert (folder / "driver.lock").exists(), "the other's lock stays"
