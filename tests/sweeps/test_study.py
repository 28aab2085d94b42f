"""A draw is a function of the declaration and of what is told, and of nothing else: not of time, of restarts, of other arms.

Histories are generated, Optuna's own samplers and pruners answer; a study built again from what was kept goes on as it was.
"""

import json
import logging
from functools import cache

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from contrast import UserError
from sweeps import GP, NSGA2, QMC, TPE, Random, Sweep
from sweeps.candidate import COMPLETE, DIVERGED, FAILED, OPEN, PRUNED, Candidate
from sweeps.search import fixed
from sweeps.study import Study, Told, sampler_seed
from tests.world import Score, Train

DISTRIBUTIONS = {"x": FloatDistribution(0.0, 1.0), "kind": CategoricalDistribution(["good", "wild"])}
NOTHING_YET, FAILURE, LOST = Told(), Told(TrialState.FAIL), Told(TrialState.PRUNED)


def complete(value, **intermediate):
    return Told(TrialState.COMPLETE, (value,), {int(step[1:]): v for step, v in intermediate.items()})


def space(trial, seed, phase, **arm):
    return {"score": Score(Train(trial.suggest_float("x", 0.0, 1.0), seed, kind=trial.suggest_categorical("kind", ["good", "wild"])))}


def branching(trial, seed, phase):
    """A knob more for some of the points."""
    bias = trial.suggest_float("bias", 0, 1) if trial.suggest_categorical("biased", [False, True]) else 0.0
    return {"score": Score(Train(trial.suggest_float("x", 0.0, 1.0), seed, trial.suggest_int("epochs", 1, 9)), bias)}


def searched(asked=space, **changes):
    return Sweep("searched", asked, **({"trials": 20, "maximize": "score", "seeds": (0, 1)} | changes))


def two_tpe(seed):
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=2)


def study_of(points, outcomes, **changes):
    """A study of candidates at these points, told these outcomes."""
    study = Study(searched(**changes), {}, "search")
    for index, knobs in enumerate(points):
        study.adopt(index, knobs, DISTRIBUTIONS, {})
    for index, told in enumerate(outcomes):
        study.tell(index, told)
    return study


numbers = st.floats(-1, 1)
reports = st.dictionaries(st.sampled_from([25, 50]), numbers)
outcomes = st.one_of(
    st.builds(lambda value, seen: Told(TrialState.COMPLETE, (value,), seen), numbers, reports),
    st.builds(lambda seen: Told(TrialState.PRUNED, None, seen), reports),
    st.sampled_from([FAILURE, LOST]),
)
points = st.fixed_dictionaries({"x": st.floats(0, 1), "kind": st.sampled_from(["good", "wild"])})


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(points, outcomes), max_size=8), st.integers(0, 3), st.sampled_from([None, two_tpe, Random()]))
def test_a_draw_is_a_function_of_the_declaration_and_of_what_is_told(history, running, sampler):
    knobs, told = [one for one, _ in history], [one for _, one in history][: max(0, len(history) - running)]
    first = study_of(knobs, told, sampler=sampler).draw(len(history))
    study_of([], [], sampler=sampler).draw(0)
    again = study_of(knobs, told, sampler=sampler).draw(len(history))
    assert (first.knobs, first.distributions, first.stages) == (again.knobs, again.distributions, again.stages)
    assert first.distributions == DISTRIBUTIONS
    assert first.stages == space(fixed(first.knobs), 0, "search")


def ending(index, knobs, several):
    """How a candidate of a made-up sweep ends: by its knobs, some diverged, some failed."""
    if index % 5 == 3:
        return LOST
    if index % 11 == 7:
        return FAILURE
    value = -((knobs["x"] - 0.3) ** 2) + knobs.get("bias", 0.0)
    return Told(TrialState.COMPLETE, (value, knobs["epochs"] * 1.0) if several else (value,))


def through(sweep, draws, window, restarts):
    """The knobs of so many candidates, when the study is built again from the files before each draw in `restarts`."""
    study, files = Study(sweep, {}, "search"), []
    for index in range(draws):
        if index in restarts:
            study = Study(sweep, {}, "search")
            for i, (knobs, distributions, kept) in enumerate(files):
                study.adopt(i, knobs, distributions, json.loads(json.dumps(kept)))
        for i in range(study.told, index - window + 1):
            study.tell(i, ending(i, files[i][0], sweep.several))
        drawn = study.draw(index)
        files.append((drawn.knobs, drawn.distributions, drawn.kept))
    return [knobs for knobs, _, _ in files]


@cache
def undisturbed(sampler, several, draws):
    return through(asked(sampler, several), draws, 3, ())


def asked(sampler, several):
    return searched(branching, sampler=sampler, **({"minimize": "score/twice"} if several else {}))


@settings(max_examples=3, deadline=None)
@given(st.sets(st.integers(1, 23), max_size=6))
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("sampler", [None, TPE(3, 8), NSGA2(4), QMC(), Random(), two_tpe])
def test_draws_with_restarts_in_between_equal_draws_without(sampler, several, restarts):
    assert through(asked(sampler, several), 24, 3, restarts) == undisturbed(sampler, several, 24)


def test_draws_of_a_gaussian_process_do_not_depend_on_restarts():
    assert through(asked(GP(2), False), 8, 3, {5, 6}) == undisturbed(GP(2), False, 8)


@pytest.mark.parametrize("sampler", [TPE(3, 8), GP(3), NSGA2(4), QMC(), Random()])
def test_every_sampler_has_numbers_of_its_own_for_every_draw_and_covers_the_space(sampler):
    drawn = undisturbed(sampler, False, 8)
    assert len({tuple(knobs.items()) for knobs in drawn}) == 8
    assert max(knobs["x"] for knobs in drawn) - min(knobs["x"] for knobs in drawn) > 0.4


def test_quasi_random_points_cover_a_space_more_evenly_than_random_ones():
    def plain(trial, seed, phase):
        return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed))}

    study = Study(searched(plain, sampler=QMC()), {}, "search")
    xs = []
    for index in range(34):
        if index == 2:
            study.tell(0, complete(0.5))
        xs.append(study.draw(index).knobs["x"])
    cells = {int(32 * x) for x in xs[2:]}
    assert len(cells) >= 31  # of 32 Sobol points one lies in each 32nd; the first of the sequence may be left out


def test_what_is_told_moves_the_draw_and_what_does_not_count_yet_does_not():
    def after(outcome):
        xs = [x / 10 for x in range(10)]
        outcomes = [outcome(-((x - 0.8) ** 2)) for x in xs] if outcome else []
        return study_of([{"x": x, "kind": "good"} for x in xs], outcomes, sampler=two_tpe).draw(10).knobs

    nothing = after(None)
    assert after(complete) != nothing
    assert after(lambda value: FAILURE) == nothing, "a failure says nothing about the point"


def test_each_arm_candidate_and_sampler_seed_has_numbers_of_its_own():
    sweeps = [searched(), searched(sampler_seed=1)]
    arms = ({}, {"method": "a"}, {"method": "b"})
    seeds = {sampler_seed(sweep, arm, index) for sweep in sweeps for arm in arms for index in (None, *range(5))}
    assert len(seeds) == 36
    drawn = set()
    for arm in arms[1:]:
        study = Study(searched(), arm, "search")
        drawn |= {study.draw(index).knobs["x"] for index in range(5)}
    assert len(drawn) == 10


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (COMPLETE, Told(TrialState.COMPLETE, (0.7,), {50: 0.1})),
        (PRUNED, Told(TrialState.PRUNED, None, {50: 0.1})),
        (DIVERGED, LOST),
        (FAILED, FAILURE),
        (OPEN, NOTHING_YET),
    ],
)
def test_candidates_are_told_as_what_they_are(state, told):
    values = (0.7,) if state == COMPLETE else None
    assert Candidate(0, 0, "", {}, {}, {}, state=state, values=values, intermediate={50: 0.1}).told() == told


def test_the_sampler_learns_to_stay_away_from_where_training_diverges():
    """Told PRUNED without values, diverged points rank below any result, so draws go where there are results."""
    xs = [(0.5 if i % 2 else 0.0) + 0.5 * (i / 30) for i in range(30)]
    points = [{"x": x, "kind": "wild" if i % 2 else "good"} for i, x in enumerate(xs)]
    told = [LOST if i % 2 else complete(-0.01 * i) for i in range(30)]
    drawn = [study_of(points, told, sampler_seed=seed).draw(30).knobs for seed in range(40)]
    assert sum(knobs["kind"] == "good" for knobs in drawn) > 30
    assert sum(knobs["x"] < 0.5 for knobs in drawn) > 30


def watched(results, **changes):
    """Six candidates, the first of them with results, of which the last is asked about."""
    return study_of([{"x": 0.5, "kind": "good"}] * 6, results, **({"monitor": "score"} | changes))


HALVES = [complete(0.5, s25=0.5, s50=0.5, s75=0.5)] * 5


def test_the_median_rule_stops_what_is_below_half_of_five_after_30_per_cent():
    study = watched(HALVES)
    assert study.should_prune(5, {25: 0.2, 50: 0.1}, range(5))
    assert not study.should_prune(5, {25: 0.2, 50: 0.95}, range(5))
    assert not study.should_prune(5, {25: 0.1}, range(5))
    assert not study.should_prune(5, {25: 0.2, 50: 0.1}, range(4)), "four are too few"
    assert not study.should_prune(5, {}, range(5))


def test_the_rule_follows_the_direction_and_the_sign_of_the_monitor():
    high = {25: 0.9, 50: 0.9}
    assert watched(HALVES, maximize=None, minimize="score").should_prune(5, high, range(5))
    assert not watched(HALVES).should_prune(5, high, range(5))
    assert watched(HALVES).should_prune(5, high, range(5), sign=-1)


@pytest.mark.parametrize("pruner", [optuna.pruners.SuccessiveHalvingPruner(25, 2), optuna.pruners.HyperbandPruner(25, 100, 2)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_pruner_sees_those_it_may_see_and_remembers_over_a_restart(pruner, sign):
    """Successive halving notes at which report a trial went on, and compares with what the others noted."""

    def verdicts_of(until, restart):
        sweep, verdicts = searched(monitor="score", pruner=pruner), []
        study, kept = Study(sweep, {}, "search"), []
        for index in range(until):
            study.adopt(index, {"x": 0.5, "kind": "good"}, DISTRIBUTIONS, {})
        for index in range(until):
            curve = dict.fromkeys((25, 50, 75), sign * (index * 7 % 11) / 11)
            for count in range(1, 4):
                seen = dict(list(curve.items())[:count])
                verdicts.append(study.should_prune(index, seen, range(max(0, index - 2)), sign))
            study.tell(index, Told(TrialState.COMPLETE, (0.5,), curve))
            kept.append({"trial": study.noted(index)})
            if restart:
                study = Study(sweep, {}, "search")
                for i in range(until):
                    study.adopt(i, {"x": 0.5, "kind": "good"}, DISTRIBUTIONS, json.loads(json.dumps(kept[i])) if i <= index else {})
                for i in range(index + 1):
                    study.tell(i, Told(TrialState.COMPLETE, (0.5,), {25: 0.0}))
        return verdicts

    assert verdicts_of(12, restart=True) == verdicts_of(12, restart=False)
    assert len(set(verdicts_of(12, restart=False))) == 2
    assert not any(verdicts_of(3, restart=False)), "nobody may be seen yet"


def test_the_declared_pruner_is_left_as_it_was_declared():
    pruner = optuna.pruners.HyperbandPruner()
    before = vars(pruner).copy()
    watched(HALVES, pruner=pruner).should_prune(5, {25: 0.1, 50: 0.1}, range(5))
    assert vars(pruner) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TPE(0), "TPE.startup = 0: must be at least 1"),
        (lambda: TPE(candidates=0), "TPE.candidates = 0: must be at least 1"),
        (lambda: GP(0), "GP.startup = 0: must be at least 1"),
        (lambda: NSGA2(1), "NSGA2.population = 1: must be at least 2"),
        (lambda: NSGA2(crossover=2.0), "NSGA2.crossover = 2.0: must be a probability"),
        (lambda: NSGA2(swapping=-1.0), "NSGA2.swapping = -1.0: must be a probability"),
        (lambda: searched(sampler="tpe"), "Sweep.sampler = 'tpe': must be a TPE or a GP"),
    ],
)
def test_a_sampler_that_cannot_be_meant_is_refused_by_field(make, message):
    with pytest.raises(UserError) as refused:
        make()
    assert str(refused.value).startswith(message)


class Broken(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return {}[trial.number]


def test_a_pruner_that_raises_is_told_by_its_line():
    study = Study(searched(monitor="score", pruner=Broken()), {}, "search")
    study.draw(0)
    with pytest.raises(UserError, match=r"^Sweep\.pruner: KeyError in prune, test_study\.py:\d+: 0\. Mend that line\.$"):
        study.should_prune(0, {50: 1.0}, range(0))


class Lost(optuna.samplers.RandomSampler):
    def before_trial(self, study, trial):
        raise KeyError(trial.number)


class Late(optuna.samplers.RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        raise KeyError(trial.number)


@pytest.mark.parametrize("fixed", [{}, {"kind": "good"}], ids=["free", "with a fixed knob"])
@pytest.mark.parametrize(("sampler", "at"), [(Lost, "before_trial"), (Late, "sample_independent")], ids=["asked", "while the space draws"])
def test_a_sampler_that_raises_is_told_in_one_line_whoever_calls_it(sampler, at, fixed):
    says = rf"^Sweep\.sampler \({sampler.__name__}\): KeyError in {at}, test_study\.py:\d+: 0\. Mend that line, or give another one\.$"
    with pytest.raises(UserError, match=says):
        Study(searched(sampler=sampler, fixed=fixed), {}, "search").draw(0)


def test_a_sampler_of_a_library_that_raises_is_told_by_its_name():
    exhaustive = searched(sampler=lambda seed: optuna.samplers.BruteForceSampler(seed=seed))
    with pytest.raises(UserError, match=r"^Sweep\.sampler \(BruteForceSampler\): ValueError in .*, _?brute_force\.py:\d+: .*step"):
        Study(exhaustive, {}, "search").draw(0)


def test_the_gaussian_process_says_nothing_where_its_search_is_over():
    said = []
    handler = logging.Handler()
    handler.emit = said.append
    optuna_logger = logging.getLogger("optuna")
    optuna_logger.addHandler(handler)
    study_of([{"x": 0.1, "kind": "good"}] * 12, [complete(1.0)] * 12, sampler=GP(2)).draw(12)
    optuna_logger.removeHandler(handler)
    assert [one.getMessage() for one in said if one.levelno >= logging.WARNING] == []
