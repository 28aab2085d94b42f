"""Drivers of different sweeps on one root share stages in progress: one computes, the others wait without a slot.

Controllers of several sweeps take turns in this process, each under a lock of its own, as hypothesis says; kills are locks that
die with their claims left behind. `WORK` counts every epoch that is computed.
"""

import json
import multiprocessing
import os
import re
import shutil
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cache
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast.component import UserError
from contrast.stage import Memory
from sweeps import Sweep
from sweeps.claims import Claims, all_claims, read_claim
from sweeps.controller import Controller, Signal
from sweeps.engines import inline
from sweeps.engines.worker import execute
from sweeps.graph import ABROAD, WAITING
from sweeps.lock import STALE, Lock, Owner, passing
from tests.driver import SMOKE, command
from tests.world import WORK, Clock, Long, Score, Train, World, table

FORK = multiprocessing.get_context("fork")
IDENTITY = "0" * 32


@pytest.fixture
def world():
    with World() as opened:
        yield opened


def locked(world, name="mine"):
    return Lock(world.root / "sweeps" / name)


def put(world, name, owner, age=0.0):
    """A lock that another process holds, last heard of `age` seconds ago."""
    path = world.root / "sweeps" / name / "driver.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(owner)))
    os.utime(path, (time.time() - age,) * 2)


# ---- a claim ---------------------------------------------------------------------------------------------------------


def test_a_claim_is_one_drivers_until_it_is_given_back(world):
    with locked(world, "one") as first, locked(world, "two") as second:
        one, two = Claims(world.root, first), Claims(world.root, second)
        assert one.take(IDENTITY, ["a"])
        assert one.take(IDENTITY, ["a"]), "one's own claim stands in nobody's way"
        assert not two.take(IDENTITY, [])
        assert one.holder(IDENTITY) is None
        assert two.holder(IDENTITY) == f"sweep one (pid {os.getpid()} on {first.me.host})"
        two.give_back(IDENTITY)
        assert not two.take(IDENTITY, []), "what is not one's own is not given back"
        one.give_back(IDENTITY)
        assert two.holder(IDENTITY) is None
        assert two.take(IDENTITY, [])


def test_a_claim_dies_with_its_lock(world):
    with locked(world, "two") as second:
        two = Claims(world.root, second)
        with locked(world, "one") as first:
            assert Claims(world.root, first).take(IDENTITY, [])
        assert two.holder(IDENTITY) is None
        assert two.take(IDENTITY, [])


def test_the_claims_of_killed_drivers_are_cleared_by_the_next_driver(world):
    with locked(world, "living") as other:
        assert Claims(world.root, other).take("1" * 32, [])
        with locked(world) as first:
            assert Claims(world.root, first).take(IDENTITY, [])
        (world.root / "claims" / ("2" * 32)).write_text("{")
        with locked(world, "next") as again:
            Claims(world.root, again)
        assert sorted(path.name for path in (world.root / "claims").iterdir()) == [".door", "1" * 32]


@pytest.mark.parametrize(("age", "alive"), [(1.0, True), (STALE + 5, False)])
def test_on_another_machine_the_heartbeat_of_the_lock_decides(world, age, alive):
    other = Owner("elsewhere", 1.0, 7, 1.0, "token")
    with locked(world) as lock:
        claims = Claims(world.root, lock)
        put(world, "other", other)
        Claims(world.root, SimpleNamespace(folder=world.root / "sweeps" / "other", me=other)).take(IDENTITY, [])
        put(world, "other", other, age)
        assert claims.take(IDENTITY, []) is not alive
        assert claims.holder(IDENTITY) == ("sweep other (pid 7 on elsewhere)" if alive else None)


@pytest.mark.parametrize("torn", ["", "{", "[1]", '{"sweep": "one"}'])
def test_a_torn_claim_is_nobodys(world, torn):
    with locked(world) as lock:
        claims = Claims(world.root, lock)
        (world.root / "claims" / IDENTITY).write_text(torn)
        assert claims.holder(IDENTITY) is None
        assert claims.take(IDENTITY, ["a"])
        assert read_claim(world.root / "claims" / IDENTITY).needs == ("a",)


def test_what_is_no_file_among_the_claims_is_nobodys_and_is_refused_by_name(world):
    with locked(world) as lock:
        claims = Claims(world.root, lock)
        (world.root / "claims" / IDENTITY).mkdir()
        assert claims.holder(IDENTITY) is None
        assert all_claims(world.root) == {}
        with pytest.raises(UserError, match=rf"claims/{IDENTITY}: must be the file of a claim, and cannot be read .*Move it away"):
            Claims(world.root, lock)
        shutil.rmtree(world.root / "claims")
        (world.root / "claims").write_text("")
        with pytest.raises(UserError, match="claims: must be a folder, and is a file"):
            Claims(world.root, lock)


@pytest.mark.parametrize("path", [f"claims/{IDENTITY}/x", "sweeps/quickstart-smoke/spent.json"])
def test_what_stands_in_the_way_of_a_launch_is_told_before_anything_is_opened(tmp_path, path):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("{")
    ended = command("run", *SMOKE, "--engine", "inline", "--root", tmp_path)
    assert ended.code == 2
    assert re.search(r"cannot be read \(Is a directory\)|does not say what the sweep has cost", re.sub(r"\s+", " ", ended.err))
    assert not (tmp_path / "mlflow.db").exists()
    assert not list(tmp_path.glob("sweeps/*/driver.lock.door")), "it was never begun"


def race(root, name, gate, told, tried):
    """Take the claim when the gate opens; live until all have tried."""
    with Lock(root / "sweeps" / name) as lock:
        claims = Claims(root, lock)
        gate.wait()
        told.put(claims.take(IDENTITY, []))
        tried.wait()


def test_of_many_that_find_a_dead_claim_at_once_exactly_one_gets_it(world):
    with locked(world, "dead") as dead:
        Claims(world.root, dead).take(IDENTITY, [])
    gate, tried, told = FORK.Event(), FORK.Barrier(5), FORK.SimpleQueue()
    racers = [FORK.Process(target=race, args=(world.root, f"racer-{i}", gate, told, tried)) for i in range(5)]
    for racer in racers:
        racer.start()
    gate.set()
    assert sorted(told.get() for _ in racers) == [False] * 4 + [True]
    for racer in racers:
        racer.join()


def test_a_passing_command_leaves_nothing(world):
    with passing(world.root) as lock:
        assert lock.folder.is_dir()
    assert list((world.root / "sweeps").iterdir()) == []


# ---- several drivers -------------------------------------------------------------------------------------------------


def space(trial, seed, phase, kind="good"):
    net = Train(trial.suggest_categorical("x", (0.1, 0.4)), seed)
    return {"score": Score(net), "long": Long(net, 1.0)}


def other(trial, seed, phase):
    return space(trial, seed, phase) | {"other": Score(Train(trial.params["x"], seed), 2.0)}


def sweep(name, space=space, **declared):
    return Sweep(name, space, **({"trials": 3, "maximize": "score", "seeds": (0, 1)} | declared))


THREE = [sweep("one"), sweep("two", other), sweep("three", seeds=(1, 2), trials=2)]


@cache
def alone():
    """What each of the three finds on a root of its own."""
    found = []
    for one in THREE:
        with World() as world:
            found.append(table(world.launch(one)))
    return found


class Driver:
    """One driver that this process plays: a lock, a controller, slots that take turns; `die` is a kill."""

    def __init__(self, world, sweep, clock, slots=1):
        self.world, self.sweep, self.clock, self.slots = world, sweep, clock, slots
        self.open = ExitStack()
        self.start()

    def start(self):
        self.lock = self.open.enter_context(locked(self.world, self.sweep.name))
        self.controller = Controller(self.world.population(self.sweep), now=self.clock, claims=Claims(self.world.root, self.lock))
        self.busy, self.over = [], False

    def die(self):
        """Killed: the lock is not held by a living process any more, workers end, and nothing is given back."""
        for _, messages in self.busy:
            messages.close()
        self.open.close()
        self.start()

    def step(self, turn):
        """Ask for work as often as there are slots, then let a worker go on to its next message; False when nothing could be done."""
        while len(self.busy) < self.slots and not self.over:
            unit = self.controller.next()
            if isinstance(unit, Signal):
                self.over = unit is Signal.DONE
                break
            self.busy.append((unit, execute(unit, self.world.place, Memory())))
        if not self.busy:
            return False
        unit, messages = self.busy[turn % len(self.busy)]
        message = next(messages, None)
        if message is None or inline.tell(self.controller, unit, message) is Signal.STOP:
            messages.close()
            self.busy = [at for at in self.busy if at[0] is not unit]
            if unit.number in self.controller.running:
                self.controller.finished(unit)
        return True


def drive(world, drivers, clock, turns, kills=()):
    """Run all to the end in turns; `kills` are numbers of steps at which a driver is killed and started again."""
    waiting, turns, kills, step = 0, deque(turns), set(kills), 0
    while not all(driver.over for driver in drivers):
        turns.rotate(-1)
        turn, step = turns[0], step + 1
        driver = drivers[turn % len(drivers)]
        if step in kills:
            driver.die()
        waiting = 0 if driver.step(turn // len(drivers)) else waiting + 1
        if waiting > 2 * len(turns):
            clock.time += 1.0
            waiting = 0
        assert step < 10_000, "they wait for each other"


def close(drivers):
    for driver in drivers:
        driver.open.close()


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, 11), min_size=4, max_size=12).filter(lambda turns: {turn % 3 for turn in turns} == {0, 1, 2}))
def test_drivers_that_run_at_once_compute_every_epoch_once_and_find_what_each_would_find_alone(turns):
    with World() as world:
        clock = Clock()
        drivers = [Driver(world, one, clock, slots=1 + i % 2) for i, one in enumerate(THREE)]
        drive(world, drivers, clock, turns)
        assert set(WORK.values()) == {1}
        together = [table(driver.controller.population) for driver in drivers]
        assert not [path for path in (world.root / "claims").iterdir() if path.name != ".door"]
        close(drivers)
    assert together == alone()


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.integers(0, 11), min_size=4, max_size=12).filter(lambda turns: {turn % 2 for turn in turns} == {0, 1}),
    st.lists(st.integers(1, 60), max_size=4),
)
def test_whoever_is_killed_loses_no_saved_epoch_and_the_others_go_on_with_it(turns, kills):
    with World() as world:
        clock = Clock()
        drivers = [Driver(world, sweep("one"), clock), Driver(world, sweep("two", other), clock, slots=2)]
        drive(world, drivers, clock, turns, kills)
        assert all(count == 1 for (_, epoch), count in WORK.items() if epoch > 0), "each kill falls between two epochs"
        assert all(driver.controller.population.finished_all for driver in drivers)
        close(drivers)


def one_stage(trial, seed, phase):
    return {"score": Score(Train(0.5, seed))}


def pair(world, clock):
    declared = [Sweep(name, one_stage) for name in ("one", "two")]
    return [Driver(world, one, clock) for one in declared]


def driven(driver, messages):
    for _ in range(messages):
        driver.step(0)


@pytest.fixture
def two(world):
    clock = Clock()
    drivers = pair(world, clock)
    yield *drivers, clock
    close(drivers)


def stages(driver):
    return {type(job.stage).__name__: job.state for job in driver.controller.graph.jobs.values()}


def test_a_stage_in_progress_elsewhere_is_waited_for_without_a_unit_and_its_commit_taken_over(world, two):
    first, second, clock = two
    driven(first, 3)
    assert second.controller.next() is Signal.WAIT
    assert not second.controller.running
    assert stages(second) == {"Train": ABROAD, "Score": WAITING}
    assert "Train" in world.events[-1].text
    assert f"is in progress in sweep one (pid {os.getpid()} on" in world.events[-1].text
    assert 0 <= second.controller.idle() <= 1.0
    while first.step(0):
        pass
    clock.time += 1.0
    assert second.controller.next() is Signal.DONE
    assert len(second.controller.graph.reused) == 2
    assert not second.controller.graph.computed
    assert sum(WORK.values()) == 5


def test_what_the_other_gives_up_goes_on_here_from_its_last_state(world, two):
    first, second, clock = two
    driven(first, 3)
    assert second.controller.next() is Signal.WAIT
    first.controller.graph.release((0, "confirm", 0))  # pruned, or dropped
    first.controller.graph.release((0, "search", 0))
    first.step(0)
    clock.time += 1.0
    while second.step(0):
        pass
    assert second.over
    assert second.controller.population.candidates[0].state == "complete"
    assert set(WORK.values()) == {1}


def test_a_driver_that_stops_looking_at_what_nobody_wants_any_more_is_done(world, two):
    first, second, _ = two
    driven(first, 3)
    assert second.controller.next() is Signal.WAIT
    for phase in ("search", "confirm"):
        second.controller.graph.release((0, phase, 0))
    assert second.controller.idle() is None


def test_a_commit_between_the_look_and_the_claim_is_taken_over(world, two):
    first, second, _ = two
    while first.step(0):
        pass
    assert second.controller.next() is Signal.DONE
    assert sum(WORK.values()) == 5


def test_a_stopping_driver_does_not_wait_for_another(world, two):
    first, second, _ = two
    driven(first, 3)
    assert second.controller.next() is Signal.WAIT
    second.controller.stopping = True
    assert second.controller.next() is Signal.DONE


def test_a_driver_that_lost_its_lock_claims_in_vain(world):
    with locked(world, "one") as first, locked(world, "two") as second:
        one, two = Claims(world.root, first), Claims(world.root, second)
        assert one.take(IDENTITY, [])
        put(world, "one", replace(first.me, token="of the other"))
        assert two.take(IDENTITY, [])
        one.give_back(IDENTITY)
        assert read_claim(world.root / "claims" / IDENTITY).sweep == "two"
