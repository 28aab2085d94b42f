"""What is read off a loss surface, on surfaces whose rings and radii are known."""

from itertools import pairwise
from math import isclose

import numpy as np
import pytest

from analysis.geometry.grid import grid, loss_on_rings, nests, radius_of_rise, refined, strides, summary


def test_the_grid_is_symmetric_with_an_exact_middle():
    for points in (3, 17, 51):
        alphas = grid(points, 0.7)
        assert alphas[points // 2] == 0
        assert np.array_equal(alphas, -alphas[::-1])
        assert isclose(alphas[-1], 0.7)


@pytest.mark.parametrize("points", [3, 5, 17, 25, 31, 47, 51])
def test_lattices_are_nested_and_visit_every_point_once_from_the_rim_and_the_middle_on(points):
    steps, visited = strides(points), np.concatenate(nests(points))
    assert steps[0] == points // 2
    assert steps[-1] == 1
    assert all(coarse % fine == 0 for coarse, fine in pairwise(steps))
    assert sorted(map(tuple, visited)) == [(i, j) for i in range(points) for j in range(points)]
    assert len(nests(points)[0]) == 9
    assert [points // 2, points // 2] in visited[:9].tolist()
    assert points != 51 or steps == [25, 5, 1]


def test_a_surface_is_filled_up_from_the_finest_lattice_that_is_complete():
    alphas = grid(13, 1.0)
    bilinear = 2 + alphas[:, None] - 3 * alphas * alphas[:, None]
    for nest in (1, 2, 3):
        seen = np.full((13, 13), np.nan)
        seen[tuple(np.concatenate(nests(13)[:nest]).T)] = 0
        seen[0, 1] = 0  # of a lattice that is not complete
        assert np.allclose(refined(seen + bilinear), bilinear)
    with pytest.raises(ValueError, match="coarsest lattice"):
        refined(np.full((13, 13), np.nan))


def test_a_ceiling_bounds_the_scalars_from_below():
    alphas = grid(33, 1.0)
    cone = 1 + 4 * np.hypot(*np.meshgrid(alphas, alphas))[None]
    whole, _ = summary(cone, alphas, 1.0, 100.0)
    assert whole["flatness"] == pytest.approx(2, abs=0.01)
    assert whole["radius_rise_1"] == pytest.approx(0.25, abs=0.01)
    low, arrays = summary(np.where(cone > 2.5, np.inf, cone), alphas, 1.0, 2.5)
    assert low["flatness"] == pytest.approx(1.5, abs=0.02)
    assert low["radius_rise_1"] == whole["radius_rise_1"]
    assert np.array_equal(arrays["clipped"], cone[0] > 2.5)
    short, _ = summary(np.where(cone > 1.9, np.inf, cone), alphas, 1.0, 1.9)
    assert np.isnan(short["radius_rise_1"]), "a rise by less than 1 nat is no rise by 1"
    assert short["flatness"] == pytest.approx(0.9, abs=0.02)


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
