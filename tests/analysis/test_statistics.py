"""Seed statistics against peers and simulation.

Intervals and p-values agree with scipy to rounding, Holm and power with statsmodels, the exact test with enumeration of all
signs; and what an interval promises, 95 % coverage, is counted in seeded simulations (2,000 replications, 95 +- 1.5 %).
"""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis import SameImages
from analysis.statistics import (
    band,
    cannot_reject,
    detectable,
    expected_maximum,
    fraction_bounds,
    holm,
    interquartile_mean,
    interval,
    mcnemar,
    on_images,
    over_tasks,
    paired,
    performance_profile,
    power,
    seeds_needed,
    simultaneous_band,
)
from contrast.component import UserError

REPLICATIONS = 2000


def by_seed(values):
    return {10 * i: float(value) for i, value in enumerate(values)}


@pytest.mark.parametrize("n", [3, 4, 5, 10])
def test_the_interval_covers_the_mean_in_95_of_100_repetitions(n):
    sample = np.random.default_rng(n).normal(70, 2, (n, REPLICATIONS))
    mean, half = band(sample)
    assert np.mean(np.abs(mean - 70) <= half) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("n", [3, 4, 10])
def test_the_paired_interval_covers_the_difference_and_its_test_rejects_5_of_100_true_ones(n):
    draws = np.random.default_rng(n)
    shared = draws.normal(0, 3, (n, REPLICATIONS))
    a, b = (70 + shared + draws.normal(0, 1, (n, REPLICATIONS)) for _ in range(2))
    found = [paired(by_seed(a[:, r]), by_seed(b[:, r])) for r in range(REPLICATIONS)]
    assert np.mean([abs(one.mean) <= one.half for one in found]) == pytest.approx(0.95, abs=0.015)
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(0.05, abs=0.015)


def test_on_skewed_data_the_interval_covers_92_of_100_and_a_percentile_bootstrap_76():
    sample = np.random.default_rng(4).lognormal(0, 0.5, (4, 20 * REPLICATIONS))
    mean, half = band(sample)
    truth = math.exp(0.125)
    assert np.mean(np.abs(mean - truth) <= half) == pytest.approx(0.92, abs=0.015)
    few = sample[:, :REPLICATIONS]
    again = few[np.random.default_rng(5).integers(0, 4, (400, 4))].mean(axis=1)
    low, high = np.quantile(again, (0.025, 0.975), axis=0)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.76, abs=0.03)


def test_tasks_are_averaged_within_a_seed_before_seeds_speak():
    draws = np.random.default_rng(0)
    tasks, seeds = 4, 4
    values = draws.normal(size=(seeds, 1, REPLICATIONS)) + draws.normal(size=(seeds, tasks, REPLICATIONS))
    per_seed = [over_tasks({str(t): by_seed(values[:, t, r]) for t in range(tasks)}) for r in range(REPLICATIONS)]
    mean, half = band(np.array([list(one.values()) for one in per_seed]).T)
    assert np.mean(np.abs(mean) <= half) == pytest.approx(0.95, abs=0.015)
    mean, half = band(values.reshape(seeds * tasks, REPLICATIONS))
    assert np.mean(np.abs(mean) <= half) < 0.8, "taking every task for a seed of its own promises too much"


def test_a_seed_that_lacks_a_task_is_left_out_of_the_mean_over_tasks():
    assert over_tasks({"a": {1: 2.0, 2: 4.0}, "b": {2: 6.0, 3: 1.0}}) == {2: 5.0}
    assert over_tasks({}) == {}


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12).filter(lambda v: np.std(v) > 1e-6))
def test_the_interval_is_scipys(values):
    found = interval(values)
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert found.mean - found.half == pytest.approx(low, rel=1e-9, abs=1e-9)
    assert found.mean + found.half == pytest.approx(high, rel=1e-9, abs=1e-9)
    assert found.sd == pytest.approx(np.std(values, ddof=1), rel=1e-12)


@pytest.mark.parametrize(("n", "factor"), [(4, 1.59), (5, 1.24), (10, 0.72)])
def test_the_half_width_in_standard_deviations_is_the_textbooks(n, factor):
    found = interval(np.random.default_rng(n).normal(size=n))
    assert found.half / found.sd == pytest.approx(factor, abs=0.005)


def test_one_seed_has_no_interval_and_two_are_shown_as_points():
    assert (interval([3.0]).half, interval([3.0]).sd, interval([3.0]).points_only) == (None, None, True)
    assert interval([3.0, 5.0]).half == pytest.approx(12.706 * math.sqrt(2) / math.sqrt(2), rel=1e-4)
    assert interval([3.0, 5.0]).points_only
    assert not interval([3.0, 5.0, 4.0]).points_only


def test_scaling_an_interval_scales_all_but_n():
    found, scaled = interval([0.5, 0.6, 0.8]), interval([0.5, 0.6, 0.8]).scaled(100)
    assert (scaled.mean, scaled.half, scaled.sd, scaled.n) == pytest.approx((100 * found.mean, 100 * found.half, 100 * found.sd, 3))
    assert interval([0.5]).scaled(100).half is None


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_values_that_are_no_sample_are_refused(values):
    with pytest.raises(UserError, match=r"values = .*must be one finite number per seed.*Leave diverged seeds out"):
        interval(values)


def test_bounds_of_fractions_stay_inside_0_and_1_and_are_the_t_interval_elsewhere():
    values = np.array([[0.01, 0.5, 0.0, 0.99], [0.02, 0.6, 0.1, 0.98], [0.03, 0.55, 0.2, 0.999]])
    low, high = fraction_bounds(values)
    mean, half = band(values)
    assert ((low >= 0) & (high <= 1) & (low < mean) & (mean < high)).all()
    assert (low[1], high[1]) == pytest.approx((mean[1] - half[1], mean[1] + half[1]))
    centre, spread = band(stats.logistic.ppf(values[:, [0, 3]]))
    assert low[[0, 3]] == pytest.approx(stats.logistic.cdf(centre - spread))
    assert high[[0, 3]] == pytest.approx(stats.logistic.cdf(centre + spread))
    assert low[2] == 0, "an exact 0 has no logit: the interval is cut"


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_the_paired_test_is_scipys_over_the_shared_seeds(n):
    draws = np.random.default_rng(n)
    a, b = draws.normal(size=n) + 1, draws.normal(size=n)
    found = paired(by_seed(a) | {999: 100.0}, by_seed(b) | {-1: -100.0})
    peer = stats.ttest_rel(a, b)
    low, high = peer.confidence_interval(0.95)
    assert (found.n, found.p) == (n, pytest.approx(peer.pvalue, rel=1e-9))
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), rel=1e-9)
    assert found.dz == pytest.approx(np.mean(a - b) / np.std(a - b, ddof=1), rel=1e-12)
    assert found.minimum_detectable == pytest.approx(detectable(n) * np.std(a - b, ddof=1), rel=1e-12)


def test_differences_that_are_all_equal_have_no_effect_size():
    assert (paired({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}).p, paired({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}).dz) == (1.0, None)
    for shift in (0.5, 0.1):  # 1.1 - 1.0 and 2.1 - 2.0 differ by rounding
        equal = paired({0: 1.0 + shift, 1: 2.0 + shift}, {0: 1.0, 1: 2.0})
        assert equal.mean == pytest.approx(shift)
        assert (equal.half, equal.p, equal.dz, equal.minimum_detectable, equal.sign_flip_p) == (None, None, None, None, 0.5)
    assert paired({0: 1.0}, {0: 0.5}) == paired({0: 1.0, 1: 7.0}, {0: 0.5, 2: 7.0})


def test_methods_that_share_no_seed_are_refused():
    with pytest.raises(UserError, match=r"seeds = \[1\] and \[2\].*must share a seed.*Run both methods"):
        paired({1: 1.0}, {2: 1.0})


@settings(max_examples=50)
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=8))
def test_the_sign_flip_p_counts_every_sign_vector(differences):
    total = abs(sum(differences))
    flips = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True))) >= total
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    found = paired(by_seed(0.1 * d for d in differences), by_seed([0.0] * len(differences)))
    assert found.sign_flip_p == pytest.approx(np.mean(flips), abs=1e-12)


def test_the_sign_flip_p_is_scipys_permutation_test():
    a, b = np.random.default_rng(5).normal([[0.8], [0.0]], size=(2, 10))
    peer = stats.permutation_test((a - b,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert paired(by_seed(a), by_seed(b)).sign_flip_p == pytest.approx(peer.pvalue, abs=1e-12)


@pytest.mark.parametrize("n", range(2, 9))
def test_below_six_seeds_the_sign_flip_test_says_that_it_cannot_reject(n):
    found = paired(by_seed(np.arange(1, n + 1)), by_seed([0.0] * n))
    assert found.sign_flip_p == pytest.approx(2.0 ** (1 - n))
    assert ("can never reject at 5 % (needs n >= 6)" in found.check) == (n < 6) == bool(cannot_reject(n))


def test_holm_agrees_with_a_table_worked_by_hand():
    # sorted: .005 * 4, .01 * 3, .03 * 2, .04 * 1 = .02, .03, .06, .04; the last is raised to .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.6]) == (1.0, 1.0)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p):
    from statsmodels.stats.multitest import multipletests

    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize("n", [2, 3, 5, 10, 40])
def test_power_and_the_detectable_difference_are_those_of_statsmodels(n):
    from statsmodels.stats.power import TTestPower

    peer = TTestPower()
    for effect in (0.1, 0.5, 1.0):  # the peer is NaN beyond
        assert power(n, effect) == pytest.approx(peer.power(effect, n, 0.05), abs=2e-6)
    assert detectable(n) == pytest.approx(peer.solve_power(nobs=n, alpha=0.05, power=0.8), rel=1e-5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.randoms())
def test_holm_lies_between_the_raw_p_and_bonferroni_and_ignores_order(p, random):
    adjusted = holm(p)
    assert all(raw <= new <= min(1, raw * len(p)) for raw, new in zip(p, adjusted, strict=True))
    order = random.sample(range(len(p)), len(p))
    assert holm([p[i] for i in order]) == pytest.approx([adjusted[i] for i in order])


@pytest.mark.parametrize(("n", "sd"), [(3, 3.3), (4, 2.1), (5, 1.7), (6, 1.4), (8, 1.2), (10, 1.0)])
def test_the_detectable_difference_is_the_tables(n, sd):
    assert detectable(n) == pytest.approx(sd, abs=0.05)
    assert power(n, detectable(n)) == pytest.approx(0.8, abs=1e-9)


@pytest.mark.parametrize("n", [2, 4, 10, 30])
@pytest.mark.parametrize("effect", [0.0, 0.5, 1.0])
def test_power_is_the_non_central_ts(n, effect):
    critical, shift = stats.t.ppf(0.975, n - 1), effect * math.sqrt(n)
    peer = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert power(n, effect) == pytest.approx(peer, abs=2e-6)


@pytest.mark.parametrize(("correlation", "percent"), [(0.8, 57), (0.5, 29), (0.0, 17)])
def test_pairing_pays_by_the_correlation_of_seeds(correlation, percent):
    assert 100 * power(4, 1 / math.sqrt(2 * (1 - correlation))) == pytest.approx(percent, abs=1)


@settings(max_examples=30)
@given(st.floats(0.3, 5), st.floats(0.1, 3))
def test_seeds_needed_is_the_first_n_with_enough_power(effect, sd):
    n = seeds_needed(effect, sd)
    assert n is not None
    assert power(n, effect / sd) >= 0.8
    assert n == 2 or power(n - 1, effect / sd) < 0.8
    assert seeds_needed(-effect, sd) == n


def test_seeds_needed_says_none_beyond_its_limit_and_refuses_an_effect_of_zero():
    assert seeds_needed(0.01, 1.0) is None
    with pytest.raises(UserError, match="effect must not be 0"):
        seeds_needed(0.0, 1.0)


@pytest.mark.parametrize("maximize", [True, False])
def test_the_expected_best_of_k_trials_is_the_mean_over_all_choices_of_k(maximize):
    values = np.random.default_rng(0).normal(size=7).round(1)  # with ties
    found = expected_maximum(values.tolist(), maximize=maximize)
    best = max if maximize else min
    every = [np.mean([best(chosen) for chosen in itertools.combinations(values, k)]) for k in range(1, 8)]
    assert found.budgets.tolist() == list(range(1, 8))
    assert found.mean == pytest.approx(every, abs=1e-12)
    mirrored = expected_maximum((-values).tolist(), maximize=not maximize)
    assert (mirrored.mean, mirrored.low) == (pytest.approx(-found.mean), pytest.approx(-found.high))


def test_the_expected_maximum_of_uniform_trials_is_k_of_k_plus_1_and_its_band_covers_it():
    draws = np.random.default_rng(1)
    inside, means = [], []
    for _ in range(300):
        found = expected_maximum(draws.random(40).tolist(), resamples=200)
        truth = found.budgets / (found.budgets + 1)
        inside.append((found.low <= truth) & (truth <= found.high))
        means.append(found.mean)
    assert np.mean(means, axis=0) == pytest.approx(truth, abs=0.02)
    assert np.mean(inside, axis=0)[found.budgets <= 10].min() > 0.88


def test_a_trial_without_a_value_counts_as_the_worst_and_some_trial_must_have_one():
    for maximize, worst in ((True, 1.0), (False, 4.0)):
        found, same = (expected_maximum([1.0, other, 4.0, 3.0], maximize=maximize) for other in (math.nan, worst))
        assert found.mean == pytest.approx(same.mean)
        assert found.mean[-1] == (4.0 if maximize else 1.0)
    assert expected_maximum([2.0]).mean.tolist() == [2.0]
    with pytest.raises(UserError, match=r"values = .*must hold a finite one"):
        expected_maximum([math.nan, math.inf])


def test_many_trials_are_read_at_64_budgets():
    found = expected_maximum(np.random.default_rng(2).random(1000).tolist(), resamples=10)
    assert len(found.budgets) <= 64
    assert (found.budgets[0], found.budgets[-1]) == (1, 1000)
    assert found.mean[0] == pytest.approx(0.5, abs=0.05)
    assert (np.diff(found.mean) > 0).all()


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (7, 2), (10, 10), (121, 59), (3, 30)])
def test_mcnemars_p_is_scipys_binomial_test(only_first, only_second):
    peer = stats.binomtest(only_first, only_first + only_second).pvalue if only_first + only_second else 1.0
    assert mcnemar(only_first, only_second) == mcnemar(only_second, only_first) == pytest.approx(peer, rel=1e-12)


def test_on_the_same_images_the_interval_is_that_of_pairs_drawn_again_and_covers_the_difference():
    draws = np.random.default_rng(0)
    hard = draws.random((400, 500))
    first, second = hard + 0.05 * draws.normal(size=hard.shape) < 0.8, hard + 0.05 * draws.normal(size=hard.shape) < 0.78
    one = on_images(first[0], second[0], resamples=4000)
    again = draws.integers(0, 500, (4000, 500))
    apart = (first[0][again].mean(axis=1) - second[0][again].mean(axis=1)).std()
    assert one.difference == pytest.approx(first[0].mean() - second[0].mean())
    assert (one.high - one.low) / (2 * 1.96) == pytest.approx(apart, rel=0.06)
    found = [on_images(a, b, resamples=500) for a, b in zip(first, second, strict=True)]
    truth = (first.mean() - second.mean()).item()
    assert np.mean([one.low <= truth <= one.high for one in found]) == pytest.approx(0.95, abs=0.03)
    with pytest.raises(UserError, match=r"first = \[\]"):
        on_images(first[0, :0], second[0, :0])
    with pytest.raises(UserError, match=r"second = 1 images: must be the \d+ of the first"):
        on_images(first[0], second[0, :1])


def test_two_networks_are_compared_on_the_images_that_each_alone_has_right(lab, blobs, tuned, conv_net, linear_net):
    data = blobs().held_out("confirm")
    stages = lab.put(tuned(data), conv_net), lab.put(tuned(data, seed=1), linear_net)
    pixels, labels = lab.workspace.pixels(data)
    with torch.no_grad():
        first, second = ((net(pixels).argmax(dim=1) == labels).numpy() for net in (conv_net, linear_net))
    results, _ = lab.run(SameImages(stages, on=data))
    assert next(iter(results)) == "difference"
    assert results["difference"] == pytest.approx(100 * (first.mean() - second.mean()))
    assert (results["only_first"], results["only_second"]) == ((first & ~second).sum(), (second & ~first).sum())
    assert results["p"] == mcnemar(int(results["only_first"]), int(results["only_second"]))
    assert lab.run(SameImages(stages[:1] * 2, on=data))[0] == {name: float(name == "p") for name in results}
    for of in (stages[0], stages[:1], stages + stages):
        with pytest.raises(UserError, match=r"SameImages\.of = .*must be two stages"):
            SameImages(of, on=data)


def test_the_interquartile_mean_is_scipys_trimmed_mean_and_covers_by_seeds():
    draws = np.random.default_rng(0)
    seeds, tasks, repetitions = 5, 4, 250
    scores = draws.normal(size=(repetitions, seeds, 1)) + draws.normal(size=(repetitions, seeds, tasks))
    found = [interquartile_mean(one, resamples=300) for one in scores]
    assert found[0].value == pytest.approx(stats.trim_mean(scores[0].ravel(), 0.25))
    assert np.mean([one.low <= 0 <= one.high for one in found]) == pytest.approx(0.95, abs=0.035)
    runs = draws.integers(0, seeds, (repetitions, 300, seeds, tasks))
    stratified = np.take_along_axis(scores[:, None], runs, axis=2).reshape(repetitions, 300, -1)
    low, high = np.quantile(stats.trim_mean(stratified, 0.25, axis=2), (0.025, 0.975), axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < 0.8, "runs drawn one by one promise too much"


def test_a_performance_profile_is_the_share_of_runs_above_with_a_band_over_seeds():
    scores = np.random.default_rng(0).random((5, 4))
    at = np.linspace(0, 1, 11)
    share, low, high = performance_profile(scores, at)
    assert share == pytest.approx([(scores > x).mean() for x in at])
    assert (share[0], share[-1]) == (1, 0)
    assert ((low <= share) & (share <= high) & (low >= 0) & (high <= 1)).all()


@pytest.mark.parametrize("shape", [(3, 9), (4, 2), (1, 20)])
def test_few_runs_have_no_interquartile_mean(shape):
    for ask in (interquartile_mean, lambda scores: performance_profile(scores, np.zeros(1))):
        with pytest.raises(UserError, match=r"scores = .*must be at least 10 runs of at least 4 seeds.*over_tasks"):
            ask(np.zeros(shape))
    with pytest.raises(UserError, match=r"not finite"):
        interquartile_mean(np.full((4, 4), np.nan))


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_a_simultaneous_band_holds_the_mean_at_all_points_of_95_of_100_curves(correlation):
    draws = np.random.default_rng(0)
    along = correlation ** np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    samples = draws.multivariate_normal(np.zeros(12), along, size=(400, 5))
    found = [simultaneous_band(sample, resamples=400) for sample in samples]
    assert np.mean([(np.abs(mean) <= half).all() for mean, half in found]) == pytest.approx(0.95, abs=0.03)
    pointwise = [band(sample) for sample in samples]
    assert np.mean([(np.abs(mean) <= half).all() for mean, half in pointwise]) < 0.8


def test_a_simultaneous_band_of_curves_that_only_shift_is_the_t_interval():
    shifts = np.random.default_rng(0).normal(size=(5, 1))
    mean, half = simultaneous_band(np.sin(np.arange(9)) + shifts, resamples=20_000)
    assert half == pytest.approx(band(shifts)[1].item(), rel=0.03)
    assert mean == pytest.approx(np.sin(np.arange(9)) + shifts.mean())
    assert simultaneous_band(np.concatenate([shifts, np.zeros((5, 1))], axis=1))[1][1] == 0, "where all seeds agree"
    for bad in (shifts[:2], np.full((4, 2), np.nan)):
        with pytest.raises(UserError, match="must be finite, of at least 3"):
            simultaneous_band(bad)
