"""A worker tells in messages what becomes of a unit, writes what a stage says into its log, and refuses another's code."""

import os
import sys
from dataclasses import dataclass, replace

import pytest
import torch

from contrast.component import UserError
from contrast.stage import Diverged, Memory
from sweeps import Sweep
from sweeps.engines import inline
from sweeps.engines.worker import Place, cap_threads, execute, made_by
from sweeps.fingerprint import fingerprint, package_digest
from sweeps.resources import Resources
from tests.world import TROUBLE, Score, Train, World


@pytest.fixture
def world():
    with World() as opened:
        yield opened


@dataclass(frozen=True)
class Chatty(Train):
    """Prints, before it trains and at the end."""

    def run(self, workspace):
        print("hello from the stage")
        results = yield from super().run(workspace)
        print(f"and goodbye with {sorted(results)}")
        return results


def sweep(stage):
    return Sweep(f"single-{fingerprint(stage)}", lambda trial, seed, phase: {"score": Score(stage)})


def unit_of(world, stage):
    return world.controller(sweep(stage), searching=False).next()


def told(messages):
    return [(message.kind, message.index, message.epoch) for message in messages]


def log(world, name):
    return "".join(path.read_text() for path in sorted((world.root / "store" / name).glob("*/*/log.txt")))


def test_a_unit_is_told_step_by_step(world):
    messages = list(execute(unit_of(world, Train(0.5, 0, 2)), world.place, Memory()))
    assert told(messages) == [("began", 0, 0), ("epoch", 0, 1), ("epoch", 0, 2), ("committed", 0, 0), ("began", 1, 0), ("committed", 1, 0)]
    assert messages[1].metrics["loss"] != messages[2].metrics["loss"]


def test_what_is_held_already_is_announced_and_not_computed(world):
    unit = unit_of(world, Train(0.5, 0, 2))
    list(execute(unit, world.place, Memory()))
    assert told(execute(unit, world.place, Memory())) == [("committed", 0, 0), ("committed", 1, 0)]


def test_a_unit_that_was_closed_is_replayed_and_goes_on(world):
    unit = unit_of(world, Train(0.5, 0, 3))
    messages = execute(unit, world.place, Memory())
    assert told([next(messages) for _ in range(3)]) == [("began", 0, 0), ("epoch", 0, 1), ("epoch", 0, 2)]
    messages.close()
    again = list(execute(unit, world.place, Memory()))
    assert told(again)[:5] == [("began", 0, 0), ("epoch", 0, 1), ("epoch", 0, 2), ("epoch", 0, 3), ("committed", 0, 0)]


def test_a_unit_ends_where_its_stage_diverges_or_fails(world):
    assert told(execute(unit_of(world, Train(0.5, 0, kind="wild")), world.place, Memory())) == [
        ("began", 0, 0),
        ("epoch", 0, 1),
        ("committed", 0, 0),
    ]
    *_, failed = execute(unit_of(world, Train(0.5, 0, kind="broken")), world.place, Memory())
    assert (failed.kind, failed.cause, failed.index) == ("failed", "exception", 0)
    assert failed.text.strip().endswith("KeyError: 'spoon'")
    *_, failed = execute(unit_of(world, Train(0.5, 0, kind="mistaken")), world.place, Memory())
    assert (failed.cause, failed.text) == ("refused", "x: is wrong. Mend it.")


def test_of_two_measures_the_second_is_taken_when_the_first_diverges(world):
    space = {name: Score(Train(0.5, 0, 2), bias) for name, bias in (("a", 0.0), ("b", 1.0))}
    unit = world.controller(Sweep("two", lambda trial, seed, phase: space), searching=False).next()
    TROUBLE["Score", 0, 0] = [Diverged("no number")]
    *_, first, began, second = told(execute(unit, world.place, Memory()))
    assert (first, began, second) == (("committed", 1, 0), ("began", 2, 0), ("committed", 2, 0))


def test_what_a_stage_prints_and_raises_is_in_its_log_and_not_on_the_terminal(world, capsys):
    list(execute(unit_of(world, Chatty(0.5, 0, 2)), world.place, Memory()))
    TROUBLE["Train", 0, 1] = [ValueError("in the middle")]
    list(execute(unit_of(world, Train(0.7, 0, 2)), world.place, Memory()))
    assert capsys.readouterr().out == ""
    for text in ("Chatty", "hello from the stage", "epoch 1 {'loss'", "goodbye with ['w']", "complete {'w'"):
        assert text in log(world, "Chatty")
    assert "ValueError: in the middle" in log(world, "Train")


def test_a_worker_with_other_code_than_the_driver_refuses(world):
    controller = world.controller(sweep(Train(0.5, 0)), searching=False)
    inline.run(controller, replace(world.place, digest="another"))
    assert isinstance(controller.fatal, UserError)
    assert "another version of the code than the driver" in str(controller.fatal)
    assert not world.records()
    assert Place(world.root, None).digest == package_digest()


def test_a_record_says_with_what_it_was_made(world):
    list(execute(unit_of(world, Train(0.5, 0, 2)), world.place, Memory()))
    by = made_by(Train(0.5, 0), Resources(2))
    assert (by["torch"], by["code"]) == (torch.__version__, package_digest())
    assert (by["processes"], by["resources"]) == ("1", "cpu:2 gpu:0")
    assert by["python"] == sys.version.partition(" ")[0]
    cap_threads(2)
    try:
        assert made_by(Train(0.5, 0), Resources(2))["threads"] == "2"
    finally:
        cap_threads(1)


def test_networks_are_kept_between_the_stages_of_a_worker(world):
    memory = Memory()
    list(execute(unit_of(world, Train(0.5, 0, 2)), world.place, memory))
    assert list(memory.models) == [Train(0.5, 0, 2)]


@dataclass(frozen=True)
class Leaking(Train):
    """Prints what it should not, and fails with it."""

    def run(self, workspace):
        print(f"connecting with {os.environ['STORAGE_PASSWORD']}")
        raise OSError(f"refused {os.environ['STORAGE_PASSWORD']}")
        yield


def test_no_secret_of_the_environment_is_in_the_log_or_in_the_reason(world, monkeypatch):
    monkeypatch.setenv("STORAGE_PASSWORD", "open sesame")
    unit = unit_of(world, Leaking(0.5, 0))
    *_, failed = execute(unit, world.place, Memory())
    (log,) = world.root.glob("store/*/*/*/log.txt")
    for text in (failed.text, log.read_text()):
        assert "refused ***" in text
        assert "sesame" not in text
    assert "connecting with ***" in log.read_text()
