"""The importance of knobs is Optuna's own on the ranks of candidates; direction, pruned ones, conditions and arms are ours."""

import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

from sweeps.importance import Ended, importance
from sweeps.search_pictures import search_pictures
from sweeps.sweep import Sweep
from tests.sweeps.test_recovery import PruneAll
from tests.world import Score, Train, World

SPACE = {"x": FloatDistribution(0, 1), "y": FloatDistribution(1e-3, 1, log=True), "z": IntDistribution(0, 4)}


def ended(n=60, seed=0, condition=False):
    """Candidates that are good where x is 0.7, and nowhere else better than elsewhere."""
    draws, found = np.random.default_rng(seed), []
    for _ in range(n):
        knobs = {"x": float(draws.random()), "y": float(10 ** draws.uniform(-3, 0)), "z": int(draws.integers(5))}
        space, good = dict(SPACE), -abs(knobs["x"] - 0.7)
        if condition:
            space["kind"], knobs["kind"] = CategoricalDistribution(("a", "b")), "ab"[int(draws.integers(2))]
            if knobs["kind"] == "a":
                space["momentum"], knobs["momentum"] = FloatDistribution(0, 1), float(draws.random())
                good += 1 - 2 * abs(knobs["momentum"] - 0.2)
        found.append(Ended(knobs, space, (2.0, good)))
    return found


def optunas(found, evaluator):
    study = optuna.create_study()
    for one in found:
        study.add_trial(optuna.trial.create_trial(value=-one.standing[1], params=one.knobs, distributions=one.distributions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_param_importances(study, evaluator=evaluator)


def test_shares_are_optunas_and_the_knob_that_matters_is_first():
    found = importance(ended(), "simclr", resamples=15)
    assert {one.knob: one.share for one in found} == pytest.approx(optunas(ended(), PedAnovaImportanceEvaluator(target_quantile=0.1)))
    assert found[0].knob == "x"
    assert found[0].low > max(one.high for one in found[1:]) - 0.3
    assert all(0 <= one.low <= one.high <= 1 and one.arm == "simclr" for one in found)
    assert {one.knob: one.local for one in found} == pytest.approx(
        optunas(ended(), PedAnovaImportanceEvaluator(target_quantile=0.1, region_quantile=0.5))
    )
    assert found[0].check == max(one.check for one in found) > 0.8


def test_the_check_is_optunas_fanova_of_the_ranks():
    candidates = ended()
    order = np.argsort(np.argsort([one.standing[1] for one in candidates]))
    ranked = [Ended(one.knobs, one.distributions, (2.0, float(rank))) for one, rank in zip(candidates, order, strict=True)]
    peer = optunas(ranked, FanovaImportanceEvaluator(seed=0))
    assert {one.knob: one.check for one in importance(candidates, resamples=2)} == pytest.approx(peer, abs=0.05)


def test_any_increasing_change_of_the_objective_leaves_the_importance():
    candidates = ended()
    changed = [Ended(one.knobs, one.distributions, (2.0, float(np.exp(9 * one.standing[1])))) for one in candidates]
    assert importance(changed, resamples=5) == importance(candidates, resamples=5)


def test_a_knob_that_some_candidates_lack_counts_and_has_no_check():
    found = {one.knob: one for one in importance(ended(70, condition=True), resamples=5)}
    assert set(found) == {"x", "y", "z", "kind", "momentum"}
    assert found["momentum"].check is None
    assert found["kind"].check is not None
    assert found["momentum"].share > max(found["y"].share, found["z"].share)


def test_who_was_pruned_stands_behind_who_was_not():
    """Only x below a half is complete, so x decides who is among the best, whatever the reports say."""
    candidates = [
        Ended(one.knobs, one.distributions, (2.0, 0.01 * i) if one.knobs["x"] < 0.5 else (1.0, 1e6 * i)) for i, one in enumerate(ended())
    ]
    assert importance(candidates, resamples=2)[0].knob == "x"


def test_few_candidates_and_equal_ones_tell_nothing():
    assert importance(ended(9)) == []
    assert importance([Ended(one.knobs, one.distributions, (0.0, 0.0)) for one in ended()]) == []
    assert len(importance(ended(10), resamples=2)) == 3


def space(trial, seed, phase, loss="a"):
    net = Train(trial.suggest_float("x", 0, 1), seed)
    return {"score": Score(net, bias=trial.suggest_float("bias", 0, 0.1))}


def test_a_search_shows_importance_budget_and_knobs_of_every_arm():
    with World() as world:
        population = world.launch(Sweep("searched", space, arms={"loss": ["a", "b"]}, trials=10, minimize="score", open=4))
        found = {picture.name: picture for picture in search_pictures(population)}
        assert list(found) == ["knobs", "candidates", "importance", "budget"]
        assert {row[0] for row in found["importance"].data.rows} == {"a", "b"}
        assert [row[2] for row in found["budget"].data.rows if row[0] == "a"] == [
            c.values[0] for c in population.candidates.values() if c.label == "a"
        ]
        judged = [(c.label, c.knobs["x"], c.knobs["bias"], c.values[0]) for c in population.candidates.values()]
        for name in ("knobs", "candidates"):
            table = found[name].data
            assert table.columns == ("arm", "x", "bias", "score")
            assert [(*row[:3], row[3].mean) for row in table.rows] == judged


def test_a_search_of_which_all_but_one_were_pruned_has_its_pictures():
    with World() as world:
        declared = Sweep("pruned", space, trials=12, maximize="score", monitor="score", pruner=PruneAll(), open=1)
        assert {picture.name for picture in search_pictures(world.launch(declared))} >= {"importance", "budget"}
