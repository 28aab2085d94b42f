"""The paired race: a bound that is exact where all are equal, decisions that follow from results alone, and seeds run ahead."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.measure import Measure
from sweeps import Bound, Confirm, Sweep
from sweeps.engines.inline import run_unit
from sweeps.race import LEVEL, MOST, Rivals, bound, pooled, quantile
from sweeps.results import status_of
from tests.world import WORK, Score, Train, World, table

FAST = settings(max_examples=20, deadline=None)
turns = st.lists(st.integers(0, 5), min_size=1, max_size=30)
SEEDS = (0, 1, 2, 3)


@pytest.fixture
def world():
    with World() as opened:
        yield opened


@dataclass(frozen=True)
class Noisy(Measure):
    """The stage's x, with noise that its seed and x draw, and an effect of the seed alone that all candidates share."""

    noise: float = 0.1

    def measure(self, model, workspace):
        stage = model.stage
        own = np.random.default_rng([stage.seed, int(stage.x * 1e9)]).normal()
        WORK[self, 0] += model.final
        return {"score": round(stage.x, 1) + self.noise * own + 10 * stage.seed}


def random_points(seed):
    return optuna.samplers.RandomSampler(seed=seed)


def space(trial, seed, phase):
    return {"score": Noisy(Train(trial.suggest_float("x", 0, 1), seed, 2))}


def searched(asked=space, **changes):
    declared = {"trials": 9, "maximize": "score", "seeds": SEEDS, "sampler": random_points, "open": 2, "confirm": Confirm(1, (7, 8))}
    return Sweep("searched", asked, **(declared | changes))


def rivals_of(values, told=None):
    found = Rivals()
    for row in values:
        found = found.joined(float(np.mean(row)), tuple(row), full=True)
    return found


def test_against_one_rival_over_all_seeds_the_bound_is_that_of_the_t_test():
    for dof, level in ((3, 0.1), (12, 0.02), (60, 0.3)):
        assert quantile(level, 1, 4, 4, dof) == pytest.approx(stats.t.ppf(1 - level, dof), rel=5e-3)


def test_the_bound_falls_with_the_level_and_grows_with_the_rivals_and_large_counts_are_rounded_upwards():
    assert quantile(0.1, 5, 1, 4, 9) > quantile(0.3, 5, 1, 4, 9)
    assert quantile(0.1, 20, 1, 4, 9) > quantile(0.1, 5, 1, 4, 9)
    assert bound(0.1, 5000, 1, 4, 9) == quantile(0.1, 8192, 1, 4, 9)
    assert bound(0.1, 5, 1, 4, 1000) == quantile(0.1, 5, 1, 4, 512)


def test_noise_is_what_is_left_after_candidate_and_seed_means():
    draws = np.random.default_rng(0)
    spread = [pooled(5 * draws.normal(size=(6, 1)) + 9 * draws.normal(size=(1, 4)) + 2 * draws.normal(size=(6, 4))) for _ in range(3000)]
    assert {dof for _, dof in spread} == {15}
    assert np.mean([noise**2 for noise, _ in spread]) == pytest.approx(4, rel=0.03)
    additive = draws.normal(size=(5, 1)) + draws.normal(size=(1, 4))
    assert pooled(additive)[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("count", "seeds"), [(3, 4), (8, 4), (24, 4), (8, 2)])
def test_among_equal_candidates_one_is_stopped_no_more_often_than_the_level_says(count, seeds):
    draws = np.random.default_rng(count)
    looks, cases = seeds - 1, 4000
    stopped = 0
    for _ in range(cases):
        values = draws.normal(size=(count, seeds)) + draws.normal(size=seeds)
        rivals, mine = rivals_of(values), draws.normal(size=seeds) + values.mean(axis=0) - values.mean(axis=0)
        mine = mine + 0.0
        stopped += any(rivals.behind(tuple(mine[:n]), LEVEL / looks) is not None for n in range(1, seeds))
    assert stopped / cases <= LEVEL + 4 * math.sqrt(LEVEL / cases)
