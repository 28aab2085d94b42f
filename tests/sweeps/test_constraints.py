"""Who breaks a constraint is shown and never best; what another sweep found is told before the first draw, and once for all."""

import math
import shutil
from dataclasses import replace

import pytest

from contrast import UserError
from sweeps import GP, NSGA2, QMC, TPE, AtLeast, AtMost, Confirm, Random, Sweep
from sweeps.forecast import forecast
from sweeps.mlflow_rows import run_rows
from sweeps.results import adopted, candidates_table, status_of
from sweeps.study import Study
from tests.world import Score, Train, World, table


def space(trial, seed, phase, method="a"):
    net = Train(trial.suggest_float("x", 0, 1), seed)
    return {"score": Score(net), "cost/0": Score(net, bias=trial.suggest_float("bias", 0, 1)), "cost/1": Score(net, bias=0.5)}


def asked(name="asked", drawn=space, **changes):
    return Sweep(name, drawn, **({"trials": 8, "maximize": "score", "seeds": (0, 1), "open": 2, "sampler": TPE(2, 8)} | changes))


def test_a_constraint_is_on_the_mean_over_matches_then_over_seeds():
    seeds = [{"cost/0": 1.0, "cost/1": 3.0}, {"cost/0": 5.0, "cost/1": 7.0}]
    assert AtMost("cost/*", 3.5).violation(seeds) == 0.5
    assert AtLeast("cost/*", 3.5).violation(seeds) == -0.5
    assert AtLeast("cost/0", 3.0).violation(seeds) == 0.0, "at the limit is kept"
    assert AtMost("cost/0", 3.0).violation([{"cost/0": math.nan}]) == math.inf


@pytest.mark.parametrize("sampler", [TPE(2, 8), GP(2), NSGA2(2), QMC(), Random()])
def test_whoever_breaks_a_constraint_is_shown_and_never_best(sampler):
    sweep = asked(sampler=sampler, constraints=(AtMost("cost/0", 0.3), AtLeast("score", -1.0)), confirm=Confirm(8, (7,)))
    with World() as world:
        population = world.launch(sweep)
        broken = {c.number for c in population.candidates.values() if c.replicates[0].metrics["cost/0"] > 0.3}
        assert 0 < len(broken) < 8, "some of each"
        assert {c.number for c in population.candidates.values() if not c.feasible} == broken
        assert {c.state for c in population.candidates.values()} == {"complete"}
        confirmed = {c.number for c in population.candidates.values() if c.of_phase("confirm")}
        assert confirmed == set(range(8)) - broken
        assert {one["candidate"] for one in status_of(sweep, world.root)["best"]} <= confirmed
        shown = {int(row[0]): row[1] for row in candidates_table(adopted(sweep, world.root)).rows}
        assert {number for number, how in shown.items() if how == "complete, infeasible"} == broken
        assert [int(row[0]) for row in candidates_table(population).rows][-len(broken) :] == sorted(broken)
        tags = run_rows(sweep, population.candidates[min(broken)], population.graph)[0].tags
        assert tags["constraint/1"].startswith("cost/0 at most 0.3: broken by ")
        assert tags["constraint/2"] == "score at least -1: kept"


def test_a_sampler_stays_where_constraints_are_kept():
    def share(constraints):
        with World() as world:
            drawn = world.launch(asked(trials=24, seeds=(0,), maximize="cost/0", constraints=constraints)).candidates.values()
            return sum(c.knobs["bias"] < 0.4 for c in list(drawn)[8:])

    assert share((AtMost("cost/0", 0.3),)) > 2 * share(())


def test_a_search_begins_with_what_another_one_found():
    with World() as world:
        first = world.launch(asked("first", trials=12))
        study = Study(asked(), {}, "search", world.population(asked(warm_start="first")).warm.of(asked(), "", {}))
        assert [trial.values for trial in study._study.trials] == [list(c.values) for c in first.candidates.values()]
        warm, cold = world.launch(asked(warm_start="first")), world.launch(asked("cold"))
        assert len(warm.candidates) == 8, "what was found elsewhere is no candidate here"
        assert [c.knobs for c in warm.candidates.values()] != [c.knobs for c in cold.candidates.values()]
        away = [sum(abs(c.knobs["x"] - 0.3) for c in one.candidates.values()) for one in (warm, cold)]
        assert away[0] < away[1], "the best x is 0.3"


@pytest.mark.parametrize("sampler", [None, NSGA2(4)])
def test_what_a_search_began_with_does_not_change_when_the_other_grows_or_goes(sampler):
    def run(disturb):
        with World() as world:
            world.launch(asked("first", trials=6))
            sweep = asked(warm_start="first", sampler=sampler)
            world.launch(replace(sweep, trials=4, open=2))
            disturb(world)
            planned = forecast(sweep, world.population(sweep).store, searching=True)
            return table(world.launch(sweep)), [(row.stage, row.needed, row.held) for row in planned.stages]

    expected = run(lambda world: None)
    assert run(lambda world: world.launch(asked("first", trials=12))) == expected
    assert run(lambda world: shutil.rmtree(world.root / "sweeps" / "first")) == expected


def test_other_arms_of_the_other_sweep_are_left_alone_and_each_arm_has_its_own():
    with World() as world:
        world.launch(asked("first", arms={"method": ("a", "b", "c")}, trials=4))
        sweep = asked(arms={"method": ("b", "new")}, warm_start="first")
        warm = world.population(sweep).warm
        assert [len(warm.of(sweep, label, arm)) for label, arm in sweep.arm_list] == [4, 0]


def renamed(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("y", 0, 1), seed))}


def fewer(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed))}


def narrower(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("x", 0, 0.001), seed, trial.suggest_float("bias", 0, 1) > 2 or 4))}


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (asked(warm_start="frist"), "Sweep.warm_start = 'frist': there is no such sweep under .* Name one of first."),
        (asked(drawn=renamed, warm_start="first"), "Sweep.warm_start = 'first': candidate 0 has other knobs: y: the space draws this knob"),
        (asked(drawn=fewer, warm_start="first"), "Sweep.warm_start = 'first': candidate 0 has other knobs: bias = .* is not drawn"),
        (asked(drawn=narrower, warm_start="first"), r"candidate 0 has other knobs: x = 0\.\d+: the space does not offer this value"),
        (asked(maximize="long", warm_start="first"), "was judged by other metrics. objective = 'long': matches none of the keys cost/0"),
        (asked(arms={"method": ("a",)}, warm_start="first"), "'first': has no complete candidate of an arm of 'asked'"),
    ],
)
def test_a_warm_start_that_does_not_fit_is_refused_naming_what_differs(sweep, message):
    with World() as world:
        world.launch(asked("first", trials=3))
        before = {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()}
        with pytest.raises(UserError, match=message):
            world.population(sweep)
        assert before == {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()}


def test_a_sweep_that_has_begun_keeps_what_it_began_with():
    with World() as world:
        world.launch(asked("first", trials=3))
        world.launch(asked(warm_start="first", trials=2))
        world.launch(asked("cold", trials=2))
        with pytest.raises(UserError, match=r"Sweep.warm_start = None: the sweep began with 'first'\. Leave it as it was"):
            world.population(asked(trials=2))
        with pytest.raises(UserError, match=r"Sweep.warm_start = 'first': the sweep began with None\. Leave it as it was"):
            world.population(asked("cold", trials=2, warm_start="first"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AtMost("cost", math.inf), "AtMost.limit = inf: must be a finite number"),
        (lambda: asked(maximize=None, constraints=(AtMost("cost/0", 1.0),)), "Sweep.constraints = "),
        (lambda: asked(constraints=("cost",)), "Sweep.constraints = ('cost',): must be a tuple of values of AtMost or values of AtLeast"),
        (lambda: asked(warm_start="asked"), "Sweep.warm_start = 'asked': is the sweep itself"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field(make, message):
    with pytest.raises(UserError) as refused:
        make()
    assert str(refused.value).startswith(message)
