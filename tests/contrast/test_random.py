"""Every draw is a function of who draws: the numbers are uniform, independent between all names, and never depend on the company.

Statistics are over at least 100,000 numbers with fixed names, so nothing here is random; limits are five standard errors.
The mixing function is repeated in plain Python integers as an oracle.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from contrast.random import generator, key, normal, permutation, uniform

IDS = np.arange(50_000, dtype=np.int64)
MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def splitmix(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def scalar_uniform(stream: int, sample_id: int, draw: int) -> float:
    sample = splitmix((sample_id * GOLDEN + stream) & MASK)
    return (splitmix((sample + (draw + 1) * GOLDEN) & MASK) >> 11) / 2**53


@given(st.integers(0, 2**31), st.integers(0, 400), st.integers(0, 3), st.lists(st.integers(0, 2**50), min_size=1, max_size=5))
@settings(deadline=None)
def test_draws_equal_the_formula_in_plain_integers(seed, epoch, view, ids):
    got = uniform(seed, "crop", np.array(ids), 3, epoch=epoch, view=view)
    stream = key(seed, "crop", epoch, view)
    assert got.tolist() == [[scalar_uniform(stream, i, draw) for draw in range(3)] for i in ids]


def test_normal_draws_are_standard_normal_and_independent():
    numbers = normal(0, "latent", IDS, 2)
    assert stats.kstest(numbers.ravel(), "norm").pvalue > 1e-6
    assert abs(np.corrcoef(numbers.T)[0, 1]) < 5 / np.sqrt(len(IDS))
    assert np.array_equal(normal(0, "latent", IDS[::-7], 2), numbers[::-7])


def test_draws_are_uniform():
    draws = uniform(0, "crop", IDS, 4).ravel()
    n = len(draws)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert abs(draws.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / n)
    assert abs(draws.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / n)
    assert stats.kstest(draws, "uniform").pvalue > 1e-4
    assert stats.chisquare(np.bincount((draws * 256).astype(int), minlength=256)).pvalue > 1e-4


NAMES = {
    "another draw": lambda: uniform(0, "crop", IDS, 2)[:, 1],
    "the next id": lambda: uniform(0, "crop", IDS + 1, 1)[:, 0],
    "an id one class further": lambda: uniform(0, "crop", IDS + (1 << 24), 1)[:, 0],
    "another purpose": lambda: uniform(0, "flip", IDS, 1)[:, 0],
    "another epoch": lambda: uniform(0, "crop", IDS, 1, epoch=1)[:, 0],
    "another view": lambda: uniform(0, "crop", IDS, 1, view=1)[:, 0],
    "another seed": lambda: uniform(1, "crop", IDS, 1)[:, 0],
}


@pytest.mark.parametrize("name", NAMES)
def test_draws_under_another_name_are_independent(name):
    here, there = uniform(0, "crop", IDS, 1)[:, 0], NAMES[name]()
    assert abs(np.corrcoef(here, there)[0, 1]) < 5 / np.sqrt(len(IDS))
    table = np.histogram2d(here, there, bins=8)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-4


@given(st.lists(st.integers(0, 2**48), min_size=1, max_size=40), st.data())
@settings(deadline=None)
def test_a_samples_draws_do_not_depend_on_its_batch(ids, data):
    whole = uniform(3, "crop", np.array(ids), 5, epoch=2)
    chosen = data.draw(st.lists(st.integers(0, len(ids) - 1), min_size=1))
    np.testing.assert_array_equal(uniform(3, "crop", np.array(ids)[chosen], 5, epoch=2), whole[chosen])
    np.testing.assert_array_equal(uniform(3, "crop", np.array(ids), 2, epoch=2), whole[:, :2])


@given(st.lists(st.integers(0, 2**48), min_size=1, max_size=60, unique=True), st.integers(0, 5), st.randoms())
@settings(deadline=None)
def test_the_order_is_a_permutation_that_follows_the_ids(ids, epoch, random):
    ordered = np.array(ids)[permutation(7, "order", np.array(ids), epoch=epoch)]
    assert sorted(ordered) == sorted(ids)
    random.shuffle(ids)
    np.testing.assert_array_equal(np.array(ids)[permutation(7, "order", np.array(ids), epoch=epoch)], ordered)


def test_every_place_is_equally_likely_in_an_order():
    places = np.stack([permutation(seed, "order", np.arange(5)) for seed in range(5_000)])
    counts = np.stack([np.bincount(column, minlength=5) for column in places.T])
    assert stats.chisquare(counts.ravel()).pvalue > 1e-4


def test_generators_repeat_and_differ_by_name():
    def draws(*name):
        return torch.rand(4, generator=generator(*name))

    assert torch.equal(draws(1, "weights", 0), draws(1, "weights", 0))
    for other in ((2, "weights", 0), (1, "directions", 0), (1, "weights", 1)):
        assert not torch.equal(draws(1, "weights", 0), draws(*other))
