"""A sweep never costs much more than its budget, what it has cost outlives kills, and a larger budget goes on.

Virtual time tells to the second what units occupied; one run through the command line shows how a launch ends.
"""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast.component import UserError
from sweeps import Budget, Sweep
from sweeps.budget import Meter, Spent, SpentFile, limited
from sweeps.candidate import CandidateFiles
from sweeps.controller import Controller
from sweeps.engines.virtual import Clock, Imagined, Nature, Room, Virtual
from sweeps.population import Population
from sweeps.resources import Resources
from tests.driver import command
from tests.world import Long, Score, Train, World

EPOCH = 60.0  # seconds
FAST = settings(max_examples=25, deadline=None)


def space(trial, seed, phase):
    net = Train(0.5, seed, 5)
    return {"score": Score(net), "long": Long(net)}


def declared(seeds=8, budget=None):
    return Sweep("dear", space, seeds=tuple(range(seeds)), budget=budget)


NATURE = Nature(pace=lambda stage: EPOCH, curve=lambda stage, identity, epoch: {"loss": 1.0})
TWO_AND_HALF = Resources(2.0, 0.5)


class Watch(Clock):
    """Adds up how long units run, on its own account."""

    running, truth = {}, 0.0

    @property
    def time(self):
        return self._time

    @time.setter
    def time(self, time):
        self.truth += len(self.running) * (time - getattr(self, "_time", time)) / 3600
        self._time = time


class Account:
    """Launches of a sweep in virtual time; `truth` are the hours of its units."""

    def __init__(self, world, slots, shape=TWO_AND_HALF):
        self.world, self.slots, self.shape = world, slots, shape
        self.store, self.clock = Imagined(world.root), Watch()

    @property
    def truth(self):
        return self.clock.truth

    def launch(self, budget=None, steps=10**6):
        sweep = declared(budget=budget)
        files = CandidateFiles(self.world.root, sweep.name)
        population = Population(sweep, self.store, files, searching=False, check=lambda *_: None, emit=lambda event: None)
        spent = SpentFile(self.world.root, sweep.name, budget)
        meter = Meter(budget, spent.read()[0], spent.write)
        controller = Controller(population, resources=lambda stage: self.shape, now=self.clock, meter=meter)
        room = Room(self.slots * self.shape.cpus, self.slots * self.shape.gpus)
        engine = Virtual(controller, self.store, NATURE, room, self.clock)
        self.clock.running = controller.running
        for _ in range(steps):
            if not engine.step():
                meter.close(self.clock.time)
                break
        return controller

    def read(self):
        return SpentFile(self.world.root, "dear").read()[0]


@FAST
@given(st.integers(1, 4), st.floats(0.01, 3.0))
def test_a_budget_is_kept_to_within_an_epoch_of_the_units_in_flight(slots, core_hours):
    with World() as world:
        account = Account(world, slots)
        controller = account.launch(Budget(core_hours=core_hours))
        spent = account.read()
        assert spent.core_hours == pytest.approx(2 * account.truth)
        assert spent.gpu_hours == pytest.approx(0.5 * account.truth)
        assert spent.core_hours <= core_hours + slots * 2 * EPOCH / 3600 + 1e-9
        assert not controller.running
        assert controller.fatal is None
        assert controller.population.finished_all or controller.meter.over is not None
        if controller.meter.over is not None:
            assert spent.core_hours >= core_hours


@FAST
@given(st.integers(1, 3), st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_what_was_spent_survives_kills_but_for_an_epoch_of_each_running_unit(slots, kills):
    with World() as world:
        account = Account(world, slots)
        for steps in kills:
            account.launch(steps=steps)
        account.launch()
        lost = 2 * account.truth - account.read().core_hours
        assert -1e-9 <= lost <= len(kills) * slots * 2 * EPOCH / 3600 + 1e-9


def test_a_larger_budget_goes_on_and_computes_nothing_twice():
    with World() as world:
        account = Account(world, 2)
        first = account.launch(Budget(gpu_hours=0.1))
        assert re.fullmatch(r"budget spent: 0\.1\d* of 0\.1 GPU-hours", first.meter.over)
        assert not first.population.finished_all
        nothing = account.launch(Budget(gpu_hours=0.1))
        assert nothing.units == {}
        last = account.launch(Budget(gpu_hours=100.0))
        assert last.population.finished_all
        assert set(account.store.attempts.values()) <= {1, 2}
        assert account.truth == pytest.approx(8 * 7 * EPOCH / 3600)


def test_wall_time_counts_over_all_launches_and_a_clock_set_back_costs_nothing():
    written = []
    meter = Meter(Budget(hours=1.0), Spent(hours=0.5), written.append)
    for now in (1000.0, 1900.0, 100.0, 999.0):
        meter.tick(now)
    assert meter.spent.hours == pytest.approx(0.5 + 0.25 + 899 / 3600)
    assert meter.over is None
    meter.tick(1000.0)
    meter.close(1000.5)
    assert written[-1] == meter.spent
    assert meter.over == "budget spent: 1 of 1 hours of wall time"


@pytest.mark.parametrize("wrong", [{"hours": 0.0}, {"core_hours": -1.0}, {"gpu_hours": float("inf")}, {}])
def test_a_budget_of_nothing_is_refused(wrong):
    with pytest.raises(UserError, match=r"^Budget.*(must be above 0 and finite|limits nothing)"):
        Budget(**wrong)


def test_a_limit_given_at_the_launch_replaces_the_declared_one():
    assert limited(None) is None
    assert limited(None, hours=2.0, core_hours=None) == Budget(hours=2.0)
    assert limited(Budget(hours=1.0, gpu_hours=3.0), hours=2.0) == Budget(hours=2.0, gpu_hours=3.0)


def test_a_damaged_account_is_named_and_not_counted_from_nothing(tmp_path):
    file = SpentFile(tmp_path, "dear")
    assert file.read() == (Spent(), None)
    file.write(Spent(1.0, 2.0, 3.0))
    assert file.read() == (Spent(1.0, 2.0, 3.0), None)
    file.path.write_text(file.path.read_text().replace("2.0", "0.0"))
    with pytest.raises(UserError, match=r"spent\.json: does not say what the sweep has cost .*delete it to count from nothing"):
        file.read()


def test_a_launch_whose_budget_is_spent_ends_in_order_and_status_tells_what_it_cost(fresh_root):
    root = fresh_root("spent")
    quickstart = ("quickstart", "--preset", "smoke", "--root", root)
    ended = command("run", *quickstart, "--engine", "inline", "--core-hours", 1e-6)
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.out.splitlines() if line.startswith("budget spent")]
    assert re.search(r"of 1e-06 core-hours; the same command with a larger budget goes on", line)
    assert (root / "reports" / "quickstart-smoke" / "index.html").exists()
    found = json.loads(command("status", *quickstart, "--json").out)
    assert found["spent"]["core_hours"] > 1e-6
    assert found["budget"]["core_hours"] == 1e-6
    assert "core-hours" in command("status", *quickstart).out
    refused = command("run", *quickstart, "--engine", "inline", "--hours", 0)
    assert (refused.code, "Budget.hours = 0" in refused.err) == (2, True)
