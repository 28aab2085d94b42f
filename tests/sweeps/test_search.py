"""A draw is a function of the declaration and of what is told, and of nothing else: not of time, of restarts, of other arms.

Histories are generated; Optuna's own samplers answer. Corners are compared with the space's own refusals.
"""

from dataclasses import dataclass, replace

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from contrast import UserError
from contrast.component import require
from sweeps import Sweep
from sweeps.candidate import COMPLETE, DIVERGED, FAILED, OPEN, PRUNED, Candidate
from sweeps.search import Told, checked_knobs, corners, draw, fixed, sampler_seed, should_prune
from tests.world import Score, Train

DISTRIBUTIONS = {"x": FloatDistribution(0.0, 1.0), "kind": CategoricalDistribution(["good", "wild"])}


def space(trial, seed, phase, **arm):
    return {"score": Score(Train(trial.suggest_float("x", 0.0, 1.0), seed, kind=trial.suggest_categorical("kind", ["good", "wild"])))}


def searched(asked=space, **changes):
    return Sweep("searched", asked, **({"trials": 20, "maximize": "score", "seeds": (0, 1)} | changes))


def candidate(state, **changes):
    return Candidate(0, 0, "", {}, {"x": 0.5, "kind": "good"}, DISTRIBUTIONS, state=state, **changes)


@st.composite
def tolds(draw_one):
    state = draw_one(st.sampled_from([COMPLETE, PRUNED, DIVERGED, FAILED, OPEN]))
    one = candidate(state, intermediate=draw_one(st.dictionaries(st.sampled_from([25, 50]), st.floats(-1, 1))))
    one.knobs = {"x": draw_one(st.floats(0, 1)), "kind": draw_one(st.sampled_from(["good", "wild"]))}
    one.values = (draw_one(st.floats(-1, 1)),) if state == COMPLETE else None
    return one.told(counts=draw_one(st.booleans()))


def tpe(seed):
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=2)


@settings(max_examples=25, deadline=None)
@given(st.lists(tolds(), max_size=8), st.sampled_from([None, tpe, lambda seed: optuna.samplers.RandomSampler(seed=seed)]))
def test_a_draw_is_a_function_of_the_declaration_and_of_what_is_told(history, sampler):
    sweep = searched(sampler=sampler)
    first = draw(sweep, {}, len(history), history, "search")
    draw(sweep, {}, 3, [], "search")
    again = draw(searched(sampler=sampler), {}, len(history), list(history), "search")
    assert (first.knobs, first.distributions, first.stages) == (again.knobs, again.distributions, again.stages)
    assert first.distributions == DISTRIBUTIONS
    assert first.stages == space(fixed(first.knobs), 0, "search")


def test_what_is_told_moves_the_draw_and_what_does_not_count_yet_does_not():
    def after(state, counts):
        results = [(x / 10, -((x / 10 - 0.8) ** 2)) for x in range(10)]
        told = []
        for x, value in results:
            one = candidate(state, values=(value,))
            one.knobs = {"x": x, "kind": "good"}
            told.append(one.told(counts=counts))
        return draw(searched(sampler=tpe), {}, 10, told, "search").knobs

    nothing = after(COMPLETE, counts=False)
    assert after(COMPLETE, counts=True) != nothing
    assert after(FAILED, counts=True) == nothing, "a failure says nothing about the point"
    assert after(OPEN, counts=True) == nothing


def test_each_arm_candidate_and_sampler_seed_has_numbers_of_its_own():
    sweeps = [searched(), searched(sampler_seed=1)]
    seeds = {sampler_seed(sweep, arm, index) for sweep in sweeps for arm in ({}, {"method": "a"}, {"method": "b"}) for index in range(5)}
    assert len(seeds) == 30
    drawn = {draw(searched(), arm, index, [], "search").knobs["x"] for arm in ({"method": "a"}, {"method": "b"}) for index in range(5)}
    assert len(drawn) == 10


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (COMPLETE, Told({}, {}, TrialState.COMPLETE, (0.7,), {50: 0.1})),
        (PRUNED, Told({}, {}, TrialState.PRUNED, None, {50: 0.1})),
        (DIVERGED, Told({}, {}, TrialState.PRUNED, None, {})),
        (FAILED, Told({}, {}, TrialState.FAIL, None, {})),
        (OPEN, Told({}, {}, TrialState.RUNNING, None, {50: 0.1})),
    ],
)
def test_candidates_are_told_as_what_they_are(state, told):
    one = candidate(state, values=(0.7,) if state == COMPLETE else None, intermediate={50: 0.1})
    found = one.told(counts=True)
    assert (found.state, found.values, found.intermediate) == (told.state, told.values, told.intermediate)
    assert one.told(counts=False).state == TrialState.RUNNING
    assert one.told(counts=False).values is None


def test_the_sampler_learns_to_stay_away_from_where_training_diverges():
    """Told PRUNED without values, diverged points rank below any result, so draws go where there are results."""
    history = []
    for i in range(30):
        one = candidate(DIVERGED if i % 2 else COMPLETE, values=None if i % 2 else (-0.01 * i,))
        one.knobs = {"x": (0.5 if i % 2 else 0.0) + 0.5 * (i / 30), "kind": "wild" if i % 2 else "good"}
        history.append(one.told(counts=True))
    drawn = [draw(searched(), {}, 30 + i, history, "search").knobs for i in range(40)]
    assert sum(knobs["kind"] == "good" for knobs in drawn) > 30
    assert sum(knobs["x"] < 0.5 for knobs in drawn) > 30


def with_curve(state, *values):
    return candidate(state, values=(0.5,) if state == COMPLETE else None, intermediate=dict(zip((25, 50, 75), values, strict=False)))


def test_the_median_rule_stops_what_is_below_half_of_five_after_30_per_cent():
    history = [with_curve(COMPLETE, 0.5, 0.5, 0.5).told(counts=True)] * 5
    bad, good = (with_curve(OPEN, 0.2, value).told(counts=False) for value in (0.1, 0.95))
    early, few = with_curve(OPEN, 0.1).told(counts=False), history[:4]
    assert should_prune(searched(monitor="score"), history, bad)
    assert not should_prune(searched(monitor="score"), history, good)
    assert not should_prune(searched(monitor="score"), history, early)
    assert not should_prune(searched(monitor="score"), few, bad)
    assert not should_prune(searched(monitor="score"), history, with_curve(OPEN).told(counts=False))


def test_the_rule_follows_the_direction():
    history = [with_curve(COMPLETE, 0.5, 0.5, 0.5).told(counts=True)] * 5
    high = with_curve(OPEN, 0.9, 0.9).told(counts=False)
    assert should_prune(searched(maximize=None, minimize="score", monitor="score"), history, high)
    assert not should_prune(searched(monitor="score"), history, high)


def branching(trial, seed, phase, **arm):
    if trial.suggest_categorical("branch", ["plain", "deep", "deeper"]) == "plain":
        return {"score": Score(Train(0.0, seed))}
    depth = trial.suggest_int("depth", 1, 9, step=4)
    return {"score": Score(Checked(trial.suggest_float("x", 0.5, 2.0, log=True), seed, epochs=depth))}


@dataclass(frozen=True)
class Checked(Train):
    def __post_init__(self):
        require(self.x * self.epochs <= 4, self, "x", "is too much for so many epochs", "Lower it.")


def deep(trial, seed, phase):
    return {"score": Score(Checked(0.5, seed, epochs=trial.suggest_int("depth", 1, 10)))}


def test_every_end_of_every_knob_is_tried_where_it_is_drawn():
    def open_space(trial, seed, phase):
        if trial.suggest_categorical("branch", ["plain", "deep", "deeper"]) == "plain":
            return {"score": Score(Train(0.0, seed))}
        return {"score": Score(Train(trial.suggest_float("x", 0.5, 2.0, log=True), seed, epochs=trial.suggest_int("depth", 1, 9, step=4)))}

    found = [knobs for knobs, _ in corners(searched(open_space), {}, "search")]
    assert found[0] == {"branch": "plain"}
    assert {knobs["branch"] for knobs in found} == {"plain", "deep", "deeper"}
    assert {knobs["x"] for knobs in found if "x" in knobs} == {0.5, 2.0}
    assert {knobs["depth"] for knobs in found if "depth" in knobs} == {1, 9}
    assert len(found) == 5
    for knobs, stages in corners(searched(open_space), {}, "search"):
        assert stages == open_space(fixed(knobs), 0, "search")


def test_a_corner_that_cannot_be_built_is_found():
    with pytest.raises(UserError, match=r"Checked\.x = 0\.5: is too much for so many epochs\. Lower it\."):
        corners(searched(deep), {}, "search")
    with pytest.raises(UserError, match=r"Checked\.x"):
        corners(searched(branching), {}, "search")


def test_a_space_that_returns_no_stages_is_refused():
    for wrong in (None, [], {}, {"score": 1.0}, {1: Train(0.5, 0)}, Train(0.5, 0)):
        with pytest.raises(UserError, match=r"space of sweep 'searched': .*Return \{'accuracy'"):
            corners(searched(lambda trial, seed, phase, wrong=wrong: wrong), {}, "search")


def test_knobs_given_by_hand_are_completed_by_low_ends_and_unknown_ones_refused():
    assert checked_knobs(searched(), {}, {"x": 0.7}) == {"x": 0.7, "kind": "good"}
    with pytest.raises(UserError, match=r"temperatur = 0.1: the sweep 'searched' has no such knob. It has kind, x."):
        checked_knobs(searched(), {}, {"temperatur": 0.1})
    with pytest.raises(UserError, match=r"has no such knob\. It has none\."):
        checked_knobs(searched(lambda trial, seed, phase: {"score": Score(Train(0.5, seed))}), {}, {"x": 0.1})


def test_knobs_that_are_drawn_only_beside_others_can_be_given_too():
    def either(trial, seed, phase):
        epochs = trial.suggest_int("epochs", 1, 3) if trial.suggest_categorical("long", [False, True]) else 1
        return {"score": Score(Train(0.5, seed, epochs))}

    assert checked_knobs(searched(either), {}, {"long": True}) == {"long": True, "epochs": 1}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"x": 0.5}, "kind: the space draws this knob, but the point has only x"),
        ({"x": 1.5, "kind": "good"}, r"x = 1.5: the space does not offer this value \(FloatDistribution"),
        ({"x": 0.5, "kind": "odd"}, "kind = 'odd': the space does not offer this value"),
    ],
)
def test_a_known_point_refuses_what_the_space_does_not_offer(knobs, message):
    with pytest.raises(UserError, match=message):
        space(fixed(knobs), 0, "search")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "name"),
        ({"trials": 0}, "trials"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"seeds": (-1,)}, "seeds"),
        ({"pilot": 3}, "pilot"),
        ({"open": 0}, "open"),
        ({"minimize": "score"}, "maximize"),
        ({"pruner": optuna.pruners.NopPruner()}, "pruner"),
        ({"arms": {"method": ()}}, "arms"),
        ({"arms": {"method": (1, "1")}}, "arms"),
        ({"arms": {"method": ("a",)}, "baseline": "b"}, "baseline"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused_by_field(changes, message):
    with pytest.raises(UserError, match=rf"^Sweep\.{message} = "):
        replace(searched(), **changes)
