"""Signals of collapse and of decay against what is known of them: isotropic data, data of low rank, one point, a power law."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast.signals import feature_std, lidar, moments, participation_ratio, power_law, rankme, spectrum, stable_rank, view_scatter


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


@pytest.mark.parametrize("sizes", [(1, 99), (50, 50), (10, 0, 90)])
def test_moments_of_batches_add_up_to_those_of_all_samples(sizes):
    x = normal(100, 7) + 3
    first, *others = (moments(part) for part in x.split(sizes))
    added = sum(others, first)
    assert added.count == 100
    assert added.gram == pytest.approx(moments(x).gram, rel=1e-12)
    assert added.covariance == pytest.approx(np.cov(x.numpy().T, ddof=0), rel=1e-9)
    assert rankme(added) == pytest.approx(rankme(x), rel=1e-12)
    assert spectrum(added) == pytest.approx(spectrum(x), rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(5, 60), st.integers(1, 12), st.integers(0, 1000), st.floats(-100, 100))
def test_the_spectrum_is_that_of_the_covariance_whatever_the_mean_and_the_rotation(n, d, seed, mean):
    x, turn = normal(n, d, seed=seed), torch.linalg.qr(normal(d, d, seed=seed + 1))[0]
    expected = np.linalg.eigvalsh(np.atleast_2d(np.cov(x.numpy().T, ddof=0)))[::-1]
    assert spectrum(x @ turn + mean) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("width", [40, 128])
def test_a_power_law_gives_its_exponent_to_1e_2(alpha, width):
    """Of features whose covariance has the eigenvalues i^-alpha: white ones, scaled and turned."""
    white = torch.linalg.qr(normal(4 * width, width) - normal(4 * width, width).mean(0))[0]
    white = torch.linalg.qr(white - white.mean(0))[0]
    scales = torch.arange(1, width + 1, dtype=torch.float64) ** (-alpha / 2)
    x = white * scales @ torch.linalg.qr(normal(width, width, seed=1))[0]
    fit = power_law(spectrum(x), 10, width // 2)
    assert fit.alpha == pytest.approx(alpha, abs=1e-2)
    assert fit.r2 == pytest.approx(1, abs=1e-4)
    shares = scales.square() / scales.square().sum()
    assert participation_ratio(spectrum(x)) == pytest.approx(float(1 / shares.square().sum()), rel=1e-6)
    assert stable_rank(spectrum(x)) == pytest.approx(float(1 / shares[0]), rel=1e-6)


def test_a_fit_is_that_of_least_squares_over_its_ranks():
    values = spectrum(normal(300, 60)) * torch.linspace(3, 1, 60)
    fit, x, values = power_law(values, 4, 30), np.log(np.arange(4, 31)), values.numpy()
    slope, offset = np.polyfit(x, np.log(values[3:30]), 1)
    rest = np.log(values[3:30]) - offset - slope * x
    assert fit == pytest.approx((-slope, offset, 1 - float(np.var(rest) / np.var(np.log(values[3:30])))))


def test_constant_features_have_no_variance_and_too_few_ranks_no_exponent():
    x = normal(200, 30)
    x[:, 5:] = 1e3
    values = spectrum(x)
    assert (values[5:] == 0).all()
    assert participation_ratio(values) == pytest.approx(5, rel=0.05)
    assert math.isnan(power_law(values, 4, 15).alpha), "ranks 4 and 5 make no line"
    assert power_law(values, 1, 15) == power_law(values, 1, 5), "eigenvalues of 0 are left out"
    nothing = spectrum(torch.full((50, 8), 7.0))
    assert (participation_ratio(nothing), stable_rank(nothing)) == (0, 0)


def test_spectra_of_features_that_are_not_finite_are_no_numbers():
    values = spectrum(torch.tensor([[1.0, math.inf], [0.5, 1.0], [2.0, 3.0]]))
    assert values.isnan().all()
    assert all(math.isnan(of(values)) for of in (participation_ratio, stable_rank, lambda v: power_law(v, 1, 2).alpha))


@pytest.mark.parametrize(("spread", "noise", "delta"), [(1.0, 0.5, 1e-4), (4.0, 2.0, 0.5)])
def test_lidar_of_gaussian_clusters_is_that_of_their_variances(spread, noise, delta):
    """Means of variance s_k and views of variance w around them: the k-th eigenvalue is (s_k + w / q) / (w (q - 1) / q + delta)."""
    variances = spread * torch.linspace(0.2, 3, 12, dtype=torch.float64)
    views = 10
    x = normal(4000, 1, 12) * variances.sqrt() + noise**0.5 * normal(4000, views, 12, seed=1)
    eigenvalues = (variances + noise / views) / (noise * (views - 1) / views + delta)
    shares = eigenvalues / eigenvalues.sum()
    turn = torch.linalg.qr(normal(12, 12, seed=2))[0]
    assert lidar(x @ turn + 5, delta) == pytest.approx(float((-(shares * shares.log()).sum()).exp()), rel=1e-2)
    assert sum(map(view_scatter, x.split((1500, 2400, 100))[1:]), view_scatter(x[:1500])).views == 40_000
    added = sum(map(view_scatter, x[1500:].split(700)), view_scatter(x[:1500]))
    assert lidar(added, delta) == pytest.approx(lidar(x, delta), rel=1e-10)


def test_lidar_of_collapse_is_0_and_never_above_the_images_less_one():
    assert lidar(normal(1, 1, 8).expand(30, 10, 8)) == 0
    assert lidar(normal(1, 10, 8).expand(30, 10, 8)) == 0, "views differ, images do not"
    assert 1 <= lidar(normal(4, 10, 16)) <= 3
    assert math.isnan(lidar(torch.full((3, 10, 2), math.nan)))
