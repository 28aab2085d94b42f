"""What holds whatever is drawn, shared, lost, killed or slow: laws of the controller over random sweeps in virtual time.

No stage really runs: hypothesis chooses the graph, the slots, the pace of each class, how often workers are lost, exceptions
are raised and stages diverge, and when the driver is killed. Where nothing goes wrong, what runs is compared with the
in-process engine, stage by stage; there the results in virtual time are those that the stages of arithmetic have.
"""

import math
from collections import Counter
from dataclasses import dataclass

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps import Confirm, Sweep
from sweeps.candidate import CandidateFiles
from sweeps.controller import Controller
from sweeps.engines.virtual import Clock, Imagined, Nature, Room, Virtual, uniform
from sweeps.population import Population
from sweeps.resources import Resources
from tests.world import WORK, Long, Score, Spread, Train, World, table

FAST = settings(max_examples=40, deadline=None)


@dataclass(frozen=True)
class Tuned(Train):
    """Trained on top of another stage, as a fine-tuning is."""

    on: Train | None = None


@dataclass(frozen=True)
class Shape:
    """A random sweep: how many candidates share stages, what hangs on a pretraining, what follows the search."""

    trials: int
    seeds: int
    pilot: int
    open: int
    kinds: int
    tuned: int
    arms: int
    fresh: int
    across: bool
    prunes: bool


@st.composite
def shapes(draw):
    seeds = draw(st.integers(1, 3))
    fresh = draw(st.integers(0, 2))
    whole = {"trials": (1, 6), "pilot": (1, seeds), "open": (1, 4), "kinds": (1, 6), "tuned": (0, 2), "arms": (1, 2)}
    numbers = {name: draw(st.integers(*ends)) for name, ends in whole.items()}
    return Shape(**numbers, seeds=seeds, fresh=fresh, across=fresh > 0 and draw(st.booleans()), prunes=draw(st.booleans()))


class PruneHalf(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.last_step >= 50 and trial.params["kind"] % 2 == 1


def declared(shape):
    def space(trial, seed, phase, arm):
        kind = trial.suggest_int("kind", 0, max(1, shape.kinds - 1))
        net = Train(0.1 * kind, seed + 100 * (phase == "confirm"), 4)
        tuned = {f"tuned/{i}": Score(Tuned(0.5, seed, 2 + arm, on=net), bias=float(i)) for i in range(shape.tuned)}
        return {"score": Score(net), "long": Long(net), **tuned}

    def across(done):
        return {"spread": Spread(tuple(run.stages["score"].of for run in done))}

    return Sweep(
        "random",
        space,
        arms={"arm": tuple(range(shape.arms))},
        trials=shape.trials,
        maximize="score",
        seeds=tuple(range(shape.seeds)),
        pilot=shape.pilot,
        open=min(shape.open, shape.trials),
        monitor="score" if shape.prunes else None,
        pruner=PruneHalf() if shape.prunes else None,
        confirm=Confirm(1, tuple(range(50, 50 + shape.fresh))) if shape.fresh else None,
        across=across if shape.across else None,
        sampler=lambda seed: optuna.samplers.RandomSampler(seed=seed),
    )


def curve(stage, identity, epoch):
    return {"loss": uniform(identity, epoch), "monitor": uniform(identity, epoch, "monitor")}


natures = st.builds(
    Nature,
    pace=st.sampled_from([lambda stage: 1.0, lambda stage: 10.0 if isinstance(stage, Train) else 0.5, lambda stage: uniform(stage) * 7]),
    results=st.just(lambda stage, identity: {"result": uniform(identity), "w": uniform(identity, "w")}),
    curve=st.just(curve),
    lost=st.sampled_from([0.0, 0.05, 0.3]),
    broken=st.sampled_from([0.0, 0.05]),
    wild=st.sampled_from([0.0, 0.05, 0.3]),
    seed=st.integers(0, 1 << 20),
)


class Launches:
    """Launches of one sweep in virtual time: the store and the candidate files outlive them, and so does the clock."""

    def __init__(self, world, sweep, nature, slots, **options):
        self.world, self.sweep, self.nature, self.slots, self.options = world, sweep, nature, slots, options
        self.store, self.clock, self.events = Imagined(world.root), Clock(), []

    def engine(self):
        files = CandidateFiles(self.world.root, self.sweep.name)
        population = Population(self.sweep, self.store, files, searching=True, check=lambda stages, phase: None, emit=self.events.append)
        return Virtual(Controller(population, now=self.clock, **self.options), self.store, self.nature, Room(self.slots), self.clock)

    def killed_after(self, steps):
        engine = self.engine()
        for _ in range(steps):
            if not engine.step():
                break

    def through(self):
        engine = self.engine()
        engine.run()
        return engine.controller


@FAST
@given(shapes(), natures, st.integers(1, 4), st.lists(st.integers(0, 40), max_size=3))
def test_whatever_happens_every_candidate_is_judged_and_no_stage_runs_before_what_it_needs_or_twice(shape, nature, slots, kills):
    with World() as world:
        launches = Launches(world, declared(shape), nature, slots)
        for steps in kills:
            launches.killed_after(steps)
        controller = launches.through()
        population, graph = controller.population, controller.graph

        assert controller.fatal is None
        assert population.finished_all
        assert not controller.running
        assert not [job for job in graph.jobs.values() if job.state == "running"]
        assert len(population.candidates) == shape.trials * shape.arms
        told = [c.told() for c in population.candidates.values()]
        assert {one.state.is_finished() for one in told} == {True}
        assert all(math.isfinite(value) for one in told for value in one.values or ())

        assert set(launches.store.commits.values()) <= {1}
        committed = [event.fingerprint for event in launches.events if event.kind in ("committed", "diverged")]
        assert len(committed) == len(set(committed))
        heard = {identity: i for i, identity in enumerate(committed)}
        for identity in committed:
            for need in graph.jobs[identity].needs if identity in graph.jobs else ():
                assert need not in heard or heard[need] < heard[identity]
                assert launches.store.held(graph.jobs[need].stage, need).outcome == "complete"


@FAST
@given(shapes(), natures, st.lists(st.integers(0, 40), min_size=1, max_size=3))
def test_an_epoch_that_was_saved_is_not_computed_again_whatever_is_killed(shape, nature, kills):
    with World() as world:
        launches, computed = Launches(world, declared(shape), nature, 3), Counter()

        def counted(stage, identity, epoch):
            computed[identity, epoch] += 1
            return curve(stage, identity, epoch)

        launches.nature = Nature(nature.pace, nature.results, counted, nature.lost, nature.broken, nature.wild, nature.seed)
        for steps in kills:
            launches.killed_after(steps)
        launches.through()
        assert set(computed.values()) <= {1}


def tuned(trial, seed, phase):
    bias = trial.suggest_float("bias", 0, 1)
    net = Train(bias, seed, 4)
    return {"score": Score(net), "accuracy": Score(Tuned(bias, seed, 2, on=net))}


RUNGS = (
    optuna.pruners.SuccessiveHalvingPruner(min_resource=25, reduction_factor=2),
    optuna.pruners.HyperbandPruner(min_resource=25, max_resource=100, reduction_factor=2),
)


@pytest.mark.parametrize("pruner", RUNGS, ids=lambda pruner: type(pruner).__name__)
def test_what_a_pruner_noted_of_a_pilot_whose_training_is_done_outlives_a_kill(pruner):
    sampler = {"sampler": lambda seed: optuna.samplers.RandomSampler(seed=seed), "sampler_seed": 3}
    sweep = Sweep("rungs", tuned, trials=8, open=1, maximize="accuracy", monitor="score", pruner=pruner, **sampler)
    nature = Nature(
        pace=lambda stage: 1.0,
        results=lambda stage, identity: {"result": uniform(identity)},
        curve=lambda stage, identity, epoch: {"loss": 1.0, "monitor": uniform(identity)},
    )

    def ended(*kills):
        with World() as world:
            launches = Launches(world, sweep, nature, 1)
            for steps in kills:
                launches.killed_after(steps)
            return {c.number: (c.state, c.reason, c.kept, c.intermediate) for c in launches.through().population.candidates.values()}

    expected = ended()
    assert {state for state, *_ in expected.values()} == {"complete", "pruned"}
    for steps in range(1, 40):
        assert ended(steps) == expected


def true_results(stage, identity):
    """What the stages of `tests.world` come to."""
    if isinstance(stage, Train):
        w = math.nan
        for epoch in range(stage.epochs + 1):
            w = math.sin(3.1 * w + epoch) if epoch else stage.x + 0.1 * stage.seed
        return {"w": w}
    if isinstance(stage, Spread):
        ws = [true_results(one, identity)["w"] for one in stage.of]
        return {"spread": max(ws) - min(ws)}
    score = stage.bias - (stage.of.x - 0.3) ** 2 + 1e-3 * true_results(stage.of, identity)["w"]
    return {"score": score, "twice": 2 * score}


@settings(max_examples=15, deadline=None)
@given(shapes().filter(lambda shape: not shape.prunes), st.integers(1, 3))
def test_the_same_stages_run_as_in_process_and_with_one_slot_in_the_same_units(shape, slots):
    with World() as world:
        inline = world.controller(declared(shape))
        from sweeps.engines import inline as engine

        engine.run(inline, world.place)
        records = {name.partition("/")[2] for name in world.records()}
        assert set(WORK.values()) <= {1}
        expected = {number: row[:5] for number, row in table(inline.population).items()}
    with World() as world:
        launches = Launches(world, declared(shape), Nature(pace=lambda stage: 1.0, results=true_results), slots)
        controller = launches.through()
        assert set(launches.store.commits) >= records, "a slot that would idle may have run ahead"
        found = {number: row[:5] for number, row in table(controller.population).items()}
        assert {n: (*row[:3], row[4]) for n, row in found.items()} == {n: (*row[:3], row[4]) for n, row in expected.items()}
        values = [[value for row in rows.values() for value in row[3] or ()] for rows in (found, expected)]
        assert values[0] == pytest.approx(values[1], abs=1e-12)
        if slots == 1:
            assert controller.units == inline.units


def test_time_is_that_of_the_stages_over_the_slots():
    """Six pretrainings of 4 epochs of 10 s, each measured twice for 1 s: in one slot one after another, in two half of it."""
    sweep = Sweep("timed", lambda t, s, p: {"score": Score(Train(0.5, s)), "long": Long(Train(0.5, s))}, seeds=tuple(range(6)))
    nature = Nature(pace=lambda stage: 10.0 if isinstance(stage, Train) else 1.0)
    with World() as world:
        for slots, seconds in ((1, 6 * 42), (2, 3 * 42), (6, 42)):
            store, clock = Imagined(world.root), Clock()
            population = Population(
                sweep, store, CandidateFiles(world.root / str(slots), "timed"), searching=False, check=lambda *_: None, emit=lambda _: None
            )
            Virtual(Controller(population, now=clock), store, nature, Room(slots), clock).run()
            assert clock.time == pytest.approx(seconds, abs=1.0 if slots == 6 else 1e-9)


def test_a_large_unit_waits_for_room_and_small_ones_go_on_meanwhile():
    sweep = Sweep("shapes", lambda t, s, p: {"score": Score(Train(0.5, s))}, seeds=tuple(range(4)))

    def resources(stage):
        return Resources(2.0) if isinstance(stage, Train) and stage.seed % 2 else Resources(1.0)

    with World() as world:
        store, clock = Imagined(world.root), Clock()
        files = CandidateFiles(world.root, "shapes")
        population = Population(sweep, store, files, searching=False, check=lambda *_: None, emit=lambda _: None)
        controller = Controller(population, resources=resources, now=clock)
        engine = Virtual(controller, store, Nature(pace=lambda stage: 1.0), Room(2.0), clock)
        most = 0.0
        while engine.step():
            most = max(most, 2.0 - engine.free.cpus)
            assert engine.free.cpus >= 0
        assert population.finished_all
        assert most == 2.0
