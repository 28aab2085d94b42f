"""Kendall's tau against the count of pairs, and its interval against a simulation."""

import itertools
import math

import numpy as np
import pytest

from analysis.statistics.rank_correlation import kendall


@pytest.mark.parametrize(("n", "correlation"), [(8, 0.0), (20, 0.7)])
def test_the_interval_of_tau_covers_what_it_is_in_the_population(n, correlation):
    """Of a bivariate normal distribution that is 2 / pi arcsin(correlation); small samples are covered a little more often."""
    draws = np.random.default_rng(n)
    truth, covered = 2 / math.pi * math.asin(correlation), 0
    for _ in range(600):
        x, noise = draws.normal(size=(2, n))
        tau = kendall(x, correlation * x + math.sqrt(1 - correlation**2) * noise)
        covered += tau.low <= truth <= tau.high
    assert covered / 600 == pytest.approx(0.96, abs=0.025)


def test_tau_counts_pairs_in_order_and_says_where_it_knows_too_little():
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    pairs = [np.sign((x[i] - x[j]) * (y[i] - y[j])) for i, j in itertools.combinations(range(4), 2)]
    assert kendall(x, y).value == pytest.approx(np.mean(pairs))
    assert str(kendall(x, y)) == "τ = 0.67, n = 4"
    assert str(kendall(x, np.ones(4))) == "τ unknown, n = 4"
    assert str(kendall(x[:1], y[:1])) == "τ unknown, n = 1"


@pytest.mark.parametrize("n", [5, 9, 30])
def test_a_perfect_order_of_few_has_an_interval_that_narrows_with_their_number(n):
    rising, falling = kendall(np.arange(1.0 * n), np.arange(1.0 * n)), kendall(np.arange(1.0 * n), -np.arange(1.0 * n))
    assert (rising.value, rising.high, falling.value, falling.low) == pytest.approx((1, 1, -1, -1))
    assert rising.low == pytest.approx(-falling.high)
    assert {5: -0.3, 9: 0.5, 30: 0.95}[n] < rising.low < {5: 0.9, 9: 0.97, 30: 0.999}[n]
