"""Signals of collapse against what is known of them: isotropic data, data of low rank, one point."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast.signals import feature_std, rankme


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("d", [2, 16, 64])
def test_rankme_of_an_isotropic_gaussian_is_its_dimension(d):
    assert rankme(normal(200 * d, d)) == pytest.approx(d, rel=5e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(8, 24), st.integers(10, 60), st.integers(0, 1000), st.sampled_from([torch.float32, torch.float64]))
def test_rankme_of_data_of_rank_r_is_at_most_r_and_at_least_1(r, d, n, seed, precision):
    x = (normal(n, r, seed=seed) @ normal(r, d, seed=seed + 1)).to(torch.float64)
    assert 1 - 1e-9 <= rankme(x) <= r + 1e-9
    assert rankme(x.to(precision)) <= r + 1e-2, "rounding adds directions that carry nothing"


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(2, 12), st.integers(0, 1000), st.floats(1e-3, 1e3))
def test_rankme_equals_the_definition_by_singular_values_and_ignores_scale_and_rotation(n, d, seed, scale):
    x = normal(n, d, seed=seed)
    shares = np.linalg.svd(x.numpy(), compute_uv=False)
    shares = shares / shares.sum()
    expected = math.exp(-(shares * np.log(shares)).sum())
    turn = torch.linalg.qr(normal(d, d, seed=seed + 1))[0]
    assert rankme(x) == pytest.approx(expected, rel=1e-6)
    assert rankme(scale * x @ turn) == pytest.approx(expected, rel=1e-6)


def test_one_point_has_rank_1_and_no_spread_and_zeros_have_neither():
    x = normal(1, 32).expand(100, 32)
    assert (rankme(x), feature_std(x)) == (pytest.approx(1), pytest.approx(0, abs=1e-9))
    assert (rankme(torch.zeros(10, 4)), feature_std(torch.zeros(10, 4))) == (0.0, 0.0)


def test_spread_of_the_uniform_distribution_on_the_sphere_is_1_whatever_the_length_of_the_features():
    x = normal(4000, 64)
    assert feature_std(x) == pytest.approx(1, abs=1e-2)
    assert feature_std(x * torch.arange(1, 4001)[:, None]) == pytest.approx(feature_std(x), abs=1e-12)


def test_of_features_that_are_not_finite_neither_is_a_number():
    x = torch.tensor([[1.0, math.nan], [0.5, 1.0]])
    assert math.isnan(rankme(x))
    assert math.isnan(feature_std(x))
