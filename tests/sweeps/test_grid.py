"""A grid is every combination that the space can draw, once; points are tried first and fixed knobs held, whatever the sampler.

Combinations are compared with a product written out, whole sweeps run in the small world.
"""

import itertools
from dataclasses import replace

import pytest

from contrast import UserError
from sweeps import GP, NSGA2, QMC, TPE, AtMost, Confirm, Grid, Random, Sweep
from sweeps.forecast import forecast
from sweeps.grid import combinations
from sweeps.launch_checks import searches
from sweeps.results import adopted, label, results_table, status_of
from sweeps.study import Study
from tests.world import Score, Spread, Train, World


def finite(trial, seed, phase, kind="good", choices=("a", "b")):
    x = trial.suggest_float("x", 0.1, 0.5, step=0.2)
    bias = {"a": 0.0, "b": 1.0, "c": 2.0}[trial.suggest_categorical("bias", choices)]
    epochs = trial.suggest_int("epochs", 2, 3) if bias else 2
    return {"score": Score(Train(x, seed, epochs, kind), bias=bias)}


def grid(space=finite, **changes):
    return Sweep("grid", space, **({"sampler": Grid(), "seeds": (0, 1)} | changes))


def test_combinations_are_the_product_of_what_is_drawn_together():
    expected = [
        {"x": x, "bias": bias} | ({"epochs": epochs} if epochs else {})
        for x, (bias, epochs) in itertools.product((0.1, 0.3, 0.5), (("a", None), ("b", 2), ("b", 3)))
    ]
    assert combinations(grid(), {}, "confirm") == expected
    assert combinations(grid(fixed={"bias": "a"}), {}, "confirm") == [{"x": x, "bias": "a"} for x in (0.1, 0.3, 0.5)]


def test_steps_are_the_numbers_that_optuna_offers():
    def wide(trial, seed, phase):
        x = trial.suggest_float("x", -0.3, 1.0, step=0.1)
        depth, width = trial.suggest_int("depth", 1, 8, step=3), trial.suggest_int("width", 1, 3, log=True)
        return {"score": Score(Train(x, depth, width))}

    found = combinations(grid(wide), {}, "confirm")
    xs, depths, widths = ([knobs[name] for knobs in found] for name in ("x", "depth", "width"))
    assert sorted(set(xs)) == [round(-0.3 + 0.1 * i, 1) for i in range(14)]
    assert (sorted(set(depths)), sorted(set(widths)), len(found)) == ([1, 4, 7], [1, 2, 3], 14 * 9)
    study = Study(grid(wide), {}, "confirm")
    assert [study.draw(index).knobs for index in range(study.planned)] == found, "every one is offered by the space"


def test_a_grid_runs_every_combination_on_all_seeds_in_phase_confirm():
    phases = set()

    def space(trial, seed, phase, kind):
        phases.add(phase)
        return finite(trial, seed, phase, kind)

    def across(done):
        return {"spread": Spread(tuple(run.stages["score"].of for run in done))}

    sweep = grid(space, arms={"kind": ("good", "wild")}, across=across)
    assert not searches(sweep)
    with World() as world:
        population = world.launch(sweep, searching=False)
        assert phases == {"confirm"}
        assert [c.label for c in population.candidates.values()].count("good") == 9
        for c in population.candidates.values():
            assert c.knobs in combinations(sweep, {"kind": "good"}, "confirm")
            assert [r.seed for r in c.of_phase("confirm")] == [0, 1]
            assert c.state == ("complete" if c.label == "good" else "diverged")
        assert population.nothing_left
        assert {type(c.values) for c in population.candidates.values()} == {type(None)}
        labels = [label(population, c) for c in population.candidates.values()]
        assert len(set(labels)) == 18
        assert "good, x = 0.1, bias = a" in labels
        assert [row[0] for row in results_table(population).rows] == sorted(labels, key=lambda text: (text.startswith("wild"),))
        assert (status_of(sweep, world.root)["planned"], status_of(sweep, world.root)["finished"]) == (18, True)
        assert adopted(sweep, world.root).nothing_left


def test_plan_counts_what_a_grid_runs():
    with World() as world:
        sweep = grid()
        planned = {row.stage: row.needed for row in forecast(sweep, world.population(sweep, searching=False).store, searching=False).stages}
        world.launch(sweep, searching=False)
        done = [name.partition("/")[0] for name in world.records()]
        assert planned == {"Train": done.count("Train"), "Score": done.count("Score")}


def test_a_wider_grid_keeps_what_is_there_and_runs_what_is_new():
    def wider(trial, seed, phase):
        return finite(trial, seed, phase, choices=("c", "a", "b"))

    with World() as world:
        before = {tuple(c.knobs.items()): c.number for c in world.launch(grid(), searching=False).candidates.values()}
        records = world.records()
        after = {tuple(c.knobs.items()): c.number for c in world.launch(grid(wider), searching=False).candidates.values()}
        assert len(after) == 15
        assert before.items() <= after.items()
        assert records < world.records()


def test_a_continuous_knob_has_no_grid():
    def continuous(trial, seed, phase):
        return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed))}

    with pytest.raises(UserError, match=r"x = 0 to 1: is continuous, and Grid\(\) runs every combination. Give it a step, or choices"):
        searches(grid(continuous))
    assert not searches(grid(continuous, fixed={"x": 0.5}))


@pytest.mark.parametrize(
    "field",
    [{"trials": 3}, {"points": ({"x": 0.1},)}, {"pilot": 2}, {"sampler_seed": 1}, {"open": 1}, {"arms": {"a": ("b",)}, "baseline": "b"}],
)
def test_what_has_no_effect_on_a_grid_is_refused(field):
    (name, *_) = reversed(field)
    with pytest.raises(UserError, match=rf"^Sweep\.{name} = .*has no effect with sampler=Grid\(\).*Leave out {name}="):
        grid(**field)


def test_a_grid_has_a_most():
    def wide(trial, seed, phase):
        return {"score": Score(Train(0.1 * trial.suggest_int("i", 0, 99), seed, trial.suggest_int("epochs", 1, 101)))}

    assert len(combinations(grid(wide, fixed={"epochs": 3}), {}, "confirm")) == 100
    with pytest.raises(UserError, match=r"^Sweep.sampler = Grid\(\): the knobs have more than 10000 combinations\. Draw from fewer"):
        searches(grid(wide))


IDLE = {
    "trials": 2, "pilot": 2, "monitor": "score", "confirm": Confirm(1, (7,)), "open": 1, "sampler": TPE(), "sampler_seed": 1,
    "points": ({"x": 0.5},), "constraints": (AtMost("score", 1.0),), "warm_start": "other",
}  # fmt: skip


@pytest.mark.parametrize("name", IDLE)
def test_what_has_no_effect_where_every_knob_is_fixed_is_refused(name):
    sweep = searched(trials=1, open=None, seeds=(0, 1), fixed={"x": 0.5, "bias": 0.1})
    assert not searches(sweep)
    with pytest.raises(UserError, match=rf"^Sweep\.{name} = .*draws no free knobs, so .* has no effect\. Leave out {name}="):
        searches(replace(sweep, **{name: IDLE[name]}))


def open_space(trial, seed, phase, method="a"):
    """One knob that only arm b has."""
    epochs = trial.suggest_int("epochs", 1, 9) if method == "b" else 4
    return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed, epochs), bias=trial.suggest_float("bias", 0, 1))}


def searched(**changes):
    return Sweep("searched", open_space, **({"trials": 6, "maximize": "score", "open": 2} | changes))


SAMPLERS = [None, TPE(2, 4), GP(2), NSGA2(2), QMC(), Random()]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_points_are_tried_first_and_completed_and_fixed_knobs_are_held(sampler):
    arms = {"method": ("a", "b")}
    sweep = searched(sampler=sampler, arms=arms, points=({"x": 0.25, "epochs": 3}, {"x": 0.75}), fixed={"bias": 0.5})
    assert searches(sweep)
    with World() as world:
        population = world.launch(sweep)
        again = world.launch(sweep)
        for one in (population, again):
            a, b = ([c.knobs for c in one.candidates.values() if c.label == arm] for arm in ("a", "b"))
            assert [knobs["x"] for knobs in a[:2]] == [knobs["x"] for knobs in b[:2]] == [0.25, 0.75]
            assert b[0]["epochs"] == 3
            assert "epochs" not in a[0]
            assert {knobs["bias"] for knobs in a + b} == {0.5}
            assert len({knobs["x"] for knobs in a}) == 6


def test_with_every_knob_fixed_nothing_is_searched():
    assert not searches(searched(trials=1, open=None, fixed={"x": 0.5, "bias": 0.1}))
    with pytest.raises(UserError, match=r"Sweep\.trials = 6: the space draws no free knobs"):
        searches(searched(fixed={"x": 0.5, "bias": 0.1}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": ({"temperatur": 0.1},)}, "Sweep.points: temperatur = 0.1: the sweep 'searched' has no such knob. It has bias, x."),
        ({"fixed": {"temperatur": 0.1}}, "Sweep.fixed: temperatur = 0.1: the sweep 'searched' has no such knob. It has bias, x."),
        ({"points": ({"x": 3.0},)}, "Sweep.points: x = 3.0: the space does not offer this value"),
        ({"fixed": {"x": "low"}}, "Sweep.fixed: x = 'low': the space does not offer this value"),
    ],
)
def test_points_and_fixed_knobs_that_the_space_does_not_have_are_refused_at_launch(changes, message):
    with pytest.raises(UserError) as refused:
        searches(searched(**changes))
    assert str(refused.value).startswith(message)


def test_a_point_that_contradicts_a_fixed_knob_is_refused():
    with pytest.raises(UserError, match=r"^Sweep\.points = .*is in fixed= with another value"):
        searched(points=({"x": 0.1},), fixed={"x": 0.2})


def test_points_added_after_the_first_draw_are_refused_by_name_unless_they_are_yet_to_come():
    with World() as world:
        world.launch(searched(trials=2))
        with pytest.raises(UserError, match=r"Sweep.points: x = 0.5: candidate 0 of sweep 'searched' has x = 0\.\d+. Give the sweep"):
            world.population(searched(trials=2, points=({"x": 0.5},)))
        done = world.population(searched(trials=2)).candidates
        points = (*({"x": done[i].knobs["x"]} for i in range(2)), {"x": 0.5})
        assert world.launch(searched(trials=3, points=points)).candidates[2].knobs["x"] == 0.5


def test_knobs_fixed_later_than_the_first_draw_are_refused_by_name():
    with World() as world:
        world.launch(searched(trials=2))
        before = {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()}
        with pytest.raises(UserError, match=r"Sweep.fixed: x = 0.5: candidate 0 of sweep 'searched' has x = 0\.\d+. Give the sweep"):
            world.population(replace(searched(trials=2), fixed={"x": 0.5}))
        assert before == {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()}
