"""What is read off a loss surface, on surfaces whose rings and radii are known."""

from math import isclose

import numpy as np
import pytest

from analysis.geometry.landscape import grid, loss_on_rings, radius_of_rise


def test_the_grid_is_symmetric_with_an_exact_middle():
    for points in (3, 17, 51):
        alphas = grid(points, 0.7)
        assert alphas[points // 2] == 0
        assert np.array_equal(alphas, -alphas[::-1])
        assert isclose(alphas[-1], 0.7)


def test_rings_of_a_cone_and_of_a_plane():
    alphas = grid(101, 1.0)
    a, b = np.meshgrid(alphas, alphas, indexing="ij")
    radii = np.array([0.0, 0.25, 0.5, 1.0])
    assert np.allclose(loss_on_rings(np.hypot(a, b), alphas, radii), radii[:, None], atol=2e-3)
    rings = loss_on_rings(2 + 3 * a - b, alphas, radii)  # bilinear interpolation is exact here
    angles = 2 * np.pi * np.arange(128) / 128
    assert np.allclose(rings, 2 + radii[:, None] * (3 * np.cos(angles) - np.sin(angles)), atol=1e-12)


def test_radius_of_rise_of_known_profiles():
    radii = np.linspace(0, 1, 257)
    cone = np.repeat(1 + 4 * radii[:, None], 128, axis=1)
    assert radius_of_rise(cone, 1.0, 2.0) == pytest.approx(0.25, abs=1e-12)
    bowl = np.repeat(1 + 4 * radii[:, None] ** 2, 128, axis=1)
    assert radius_of_rise(bowl, 1.0, 2.0) == pytest.approx(0.5, abs=1e-4)
    half = np.where(np.arange(128) < 64, cone, 1.0)  # flat on one side: censored there
    assert radius_of_rise(half, 1.0, 2.0) == pytest.approx((0.25 + 1.0) / 2, abs=1e-12)
    jump = np.where(radii[:, None] > 0.5, np.full((257, 128), 4.0), 1.0)
    assert radius_of_rise(jump, 1.0, 2.0) == pytest.approx(0.5, abs=1 / 256)
