"""What the searcher and the scheduler of Ray Tune pass to the controller and back; Ray itself does not run."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError

from contrast.stage import Memory
from sweeps import Sweep
from sweeps.controller import Signal
from sweeps.engines.ray_tune import Bridge, UnitScheduler, UnitSearcher, UnitTrainable
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


class Actors:
    """Stands for Ray's actors behind Tune's own controller; `let_go` lists the actors that were given up."""

    def __init__(self):
        self.let_go, self.num_pending_actors = [], 0

    def is_actor_started(self, actor):
        return actor not in self.let_go

    def is_actor_failed(self, actor):
        return False

    def clear_actor_task_futures(self, actor=None, tracked_actor=None):
        pass

    def schedule_actor_task(self, actor, *given, **named):
        pass

    def remove_actor(self, actor, **named):
        self.let_go.append(actor)
        return False


class Actor:
    """A tracked actor of a trial."""

    def set_on_stop(self, call):
        pass

    set_on_error = set_on_stop


@pytest.fixture
def tuner(bridge, tmp_path):
    """Tune's controller with trials a, b and c: each has asked for a worker, and only that of the first has come."""
    from ray.tune import PlacementGroupFactory  # here, since Tune reads its settings when it is imported
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    place = SimpleNamespace(experiment_fs_path=str(tmp_path), experiment_driver_staging_path=str(tmp_path))
    search = SimpleNamespace(is_finished=lambda: False, on_trial_complete=UnitSearcher(bridge).on_trial_complete)
    found = TuneController(
        search_alg=search, scheduler=UnitScheduler(bridge), reuse_actors=True, resource_manager_factory=lambda: None, storage=place
    )
    found._actor_manager = Actors()

    def ask(trial):
        found._trial_to_actor[trial] = actor = Actor()
        found._actor_to_trial[actor] = trial

    found._schedule_trial_actor = ask
    for name in "abc":
        bridge.suggest(name)
        trial = Trial("unit", stub=True, trial_id=name, placement_group_factory=PlacementGroupFactory([{"CPU": 1}]))
        trial.storage = SimpleNamespace(trial_driver_staging_path="")
        found.add_trial(trial)
    found._maybe_add_actors()
    (first,) = [trial for trial in found.get_trials() if trial.trial_id == "a"]
    found._unstage_trial_with_resources(first)
    found._set_trial_status(first, Trial.RUNNING)
    found._started_actors.add(found._trial_to_actor[first])
    return found


@pytest.mark.parametrize("why", ["drain", "error"])
def test_units_that_wait_are_taken_back_when_no_further_one_is_to_begin_and_no_worker_idles(bridge, tuner, why):
    tuner._maybe_add_actors()
    assert [trial.status for trial in tuner.get_trials()] == ["RUNNING", "PENDING", "PENDING"]
    if why == "drain":
        bridge.controller.slots.draining = True
    else:
        bridge.error = OSError("the disk is full")
    tuner._maybe_add_actors()
    first = tuner.get_trials()[0]
    assert [trial.status for trial in tuner.get_trials()] == ["RUNNING", "TERMINATED", "TERMINATED"]
    assert list(bridge.controller.running) == ([1] if why == "drain" else [1, 2, 3])
    worker = tuner._trial_to_actor[first]
    assert worker not in tuner._actor_manager.let_go
    tuner.stop_trial(first)
    tuner._maybe_add_actors()
    tuner.on_step_end()
    assert worker in tuner._actor_manager.let_go


def test_a_worker_that_is_lost_while_it_takes_a_further_unit_up_is_counted_against_its_node(bridge, tuner, monkeypatch):
    monkeypatch.setattr("sweeps.nodes.LOSSES", 2)
    for trial in tuner.get_trials()[1:]:
        trial.temporary_state.ray_actor = worker = Worker()
        bridge.nodes[worker] = "beef"
        tuner._actor_failed(tuner._trial_to_actor[trial], RayActorError())
        assert trial.status == "ERROR"
    assert bridge.controller.nodes.avoided == {"beef"}
    assert list(bridge.controller.running) == [1]


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
