"""What the searcher and the scheduler of Ray Tune pass to the controller and back; Ray itself does not run."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from contrast.stage import Memory
from sweeps import Sweep
from sweeps.controller import Signal
from sweeps.engines.ray_tune import Bridge, UnitScheduler, UnitTrainable
from sweeps.engines.worker import execute
from tests.world import Score, Train, World

SWEEP = Sweep("bridged", lambda trial, seed, phase: {"score": Score(Train(0.5, seed, 2))}, seeds=(0, 1, 2))


class Worker:
    """Stands for an actor."""


@pytest.fixture
def world():
    with World() as opened:
        yield opened


@pytest.fixture
def bridge(world):
    return Bridge(world.controller(SWEEP, searching=False), world.place)


def result(messages, told=1):
    return {"training_iteration": told, "messages": json.dumps([asdict(one) for one in messages]), "node": "beef"}


def messages(bridge, trial):
    return list(execute(bridge.units[trial], bridge.place, Memory()))


def test_what_a_warm_worker_runs_when_it_drains_goes_on(bridge):
    worker = Worker()
    bridge.nodes[worker] = "beef"
    bridge.suggest("a")
    bridge.runs("a", worker)
    bridge.controller.slots.draining = True
    began, epoch, *_ = messages(bridge, "a")
    assert bridge.hear("a", worker, result([began, epoch])) is Signal.CONTINUE


def test_a_new_worker_does_not_begin_any_more_when_it_drains(bridge):
    bridge.suggest("a")
    bridge.controller.slots.draining = True
    assert bridge.hear("a", Worker(), result(messages(bridge, "a")[:1])) is Signal.STOP


def test_all_that_a_unit_tells_at_once_is_heard_though_the_sweep_is_left(bridge):
    bridge.suggest("a")
    told = messages(bridge, "a")
    bridge.controller.stopping = True
    assert bridge.hear("a", Worker(), result(told)) is Signal.STOP
    assert len(bridge.controller.graph.computed) == 2


def test_a_result_that_comes_twice_is_heard_once(bridge):
    worker = Worker()
    bridge.suggest("a")
    began, epoch, *_ = messages(bridge, "a")
    assert bridge.hear("a", worker, result([began])) is Signal.CONTINUE
    assert [bridge.hear("a", worker, result([epoch], told=2)) for _ in range(2)] == [Signal.CONTINUE] * 2
    assert [len(job.curve) for job in bridge.controller.graph.jobs.values()].count(1) == 1


@pytest.mark.parametrize("why", ["drain", "error"])
def test_units_that_wait_are_taken_back_when_no_further_one_is_to_begin(bridge, why):
    stopped = []
    for trial in "abc":
        bridge.suggest(trial)
    live = [SimpleNamespace(trial_id=one, status="PENDING", PENDING="PENDING", RUNNING="RUNNING") for one in "abc"]
    tuner = SimpleNamespace(get_live_trials=lambda: live, stop_trial=lambda trial: stopped.append(trial.trial_id))
    scheduler = UnitScheduler(bridge)
    assert scheduler.choose_trial_to_run(tuner) is live[0]
    assert not stopped
    if why == "drain":
        bridge.controller.slots.draining = True
    else:
        bridge.error = OSError("the disk is full")
    assert scheduler.choose_trial_to_run(tuner) is None
    assert stopped == ["a", "b", "c"]
    assert bool(bridge.controller.running) == (why == "error")


def test_a_warm_worker_tells_its_first_epoch_with_its_beginning_and_results_carry_no_statistics(bridge):
    kinds = {}
    for trial, warm in (("a", False), ("b", True)):
        worker = object.__new__(UnitTrainable)
        worker._memory, worker._warm = Memory(), warm
        worker._unit = bridge.controller.next()
        worker._told, worker._messages = 0, execute(worker._unit, bridge.place, Memory())
        kinds[trial] = [one["kind"] for one in json.loads(told_by(worker)["messages"])]
    assert kinds == {"a": ["began"], "b": ["began", "epoch"]}


def told_by(worker):
    from sweeps.engines import ray_tune

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_tune.cluster, "here", lambda: "beef")
        found = worker.train()
    assert found.keys() == {"training_iteration", "done", "messages", "node"}
    return found
