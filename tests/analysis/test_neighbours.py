"""Intrinsic dimension and entropies by nearest neighbours against scikit-dimension, brute force and closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import betainc, gammaln
from scipy.stats import vonmises_fisher

from analysis import Entropies, IntrinsicDimension
from analysis.representation.entropy import log_cap_share, log_surface, sphere_entropy
from analysis.representation.intrinsic_dimension import two_nn
from analysis.representation.neighbours import neighbour_distances
from contrast.component import UserError


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_neighbours_are_those_of_brute_force_however_far_from_the_origin(far):
    x = normal(300, 5) + far
    x[7], x[8] = x[3], x[3] + 1e-7
    every = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf).sort(dim=1).values
    assert neighbour_distances(x, 3) == pytest.approx(every[:, :3].numpy(), rel=1e-9)
    assert neighbour_distances(x, 1)[7] == 0
    assert neighbour_distances(x[:3], 2) == pytest.approx(torch.cdist(x[:3], x[:3]).sort(dim=1).values[:, 1:].numpy(), rel=1e-6)


@pytest.mark.parametrize(("dimension", "width", "discard"), [(2, 30, 0.1), (5, 8, 0.1), (5, 40, 0.3)])
def test_the_dimension_equals_scikit_dimension_to_1e_6(dimension, width, discard):
    from skdim.id import TwoNN

    x = normal(600, dimension) @ normal(dimension, width, seed=1)
    expected = TwoNN(discard_fraction=discard).fit(x.numpy()).dimension_
    assert two_nn(x, discard) == pytest.approx(expected, rel=1e-6)
    assert two_nn(x, discard) == pytest.approx(dimension, rel=0.2)
    constant = torch.cat([x, torch.full((600, 3), 7.0)], dim=1)
    assert two_nn(3 * constant, discard) == pytest.approx(expected, rel=1e-6), "constant features and scale change nothing"


def test_images_that_lie_on_another_have_no_ratio_as_in_scikit_dimension():
    from skdim.id import TwoNN

    x = normal(300, 4)
    x[:20] = x[20:40]
    x[290:] = x[289]
    with pytest.warns(UserWarning, match="duplicate"):
        expected = TwoNN().fit(x.numpy()).dimension_
    assert two_nn(x) == pytest.approx(expected, rel=1e-6)


def test_a_dimension_that_does_not_exist_is_no_number():
    x = normal(50, 4)
    x[0, 0] = math.inf
    assert math.isnan(two_nn(x))
    assert math.isnan(two_nn(torch.ones(50, 4))), "one point"
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert math.isnan(two_nn(corners)), "all ratios are 1"
    assert math.isfinite(two_nn(normal(50, 4), discard=0.0))


@pytest.mark.parametrize("d", [2, 3, 50, 700])
def test_the_share_of_a_cap_is_its_integral(d):
    angles = np.linspace(0.02, 3.1, 40)
    if d == 2:
        assert log_cap_share(angles, d) == pytest.approx(np.log(angles / math.pi), abs=1e-9)
    if d == 3:
        assert log_cap_share(angles, d) == pytest.approx(np.log((1 - np.cos(angles)) / 2), abs=1e-9)
    step, middle = 1e-6, angles[(angles > 0.5) & (angles < 2.6)]
    slope = (np.exp(log_cap_share(middle + step, d)) - np.exp(log_cap_share(middle - step, d))) / (2 * step)
    assert slope == pytest.approx(np.sin(middle) ** (d - 2) * math.exp(log_surface(d - 1) - log_surface(d)), rel=1e-3, abs=1e-7)
    assert log_cap_share(np.array([math.pi]), d) == pytest.approx(0, abs=1e-7)
    assert (np.diff(log_cap_share(angles, d)) >= 0).all()


def test_beyond_the_range_of_float64_a_cap_is_that_of_the_flat_ball():
    """A small cap of radius r has the share r^(d-1) S_(d-1) / ((d - 1) S_d), to a factor near 1."""
    d, angles = 2000, np.array([0.01, 0.02])
    flat = (d - 1) * np.log(angles) + log_surface(d - 1) - log_surface(d) - math.log(d - 1)
    assert betainc((d - 1) / 2, 0.5, np.sin(angles) ** 2).tolist() == [0, 0]
    assert log_cap_share(angles, d) == pytest.approx(flat, abs=0.2)


@pytest.mark.parametrize("d", [2, 3, 20, 512])
def test_the_entropy_of_the_uniform_distribution_is_that_of_the_surface(d):
    x = normal(3000, d) * torch.linspace(0.1, 10, 3000)[:, None]
    assert log_surface(d) == pytest.approx(math.log(2 * math.pi ** (d / 2)) - gammaln(d / 2))
    assert sphere_entropy(x, 3) == pytest.approx(log_surface(d), abs=0.05), "standard error 0.01"


@pytest.mark.parametrize(("d", "kappa"), [(3, 2.0), (3, 20.0), (5, 5.0)])
def test_the_entropy_of_von_mises_and_fishers_distribution(d, kappa):
    """kappa times the mean cosine less the logarithm of the normalisation, as scipy gives it."""
    law = vonmises_fisher(np.eye(d)[0], kappa)
    x = torch.from_numpy(law.rvs(4000, random_state=np.random.default_rng(0)))
    assert sphere_entropy(x, 3) == pytest.approx(law.entropy(), abs=0.06)


def test_the_entropy_of_atoms_is_minus_infinity_and_of_no_numbers_none():
    x = normal(40, 5)
    x[:4] = x[4]
    assert sphere_entropy(x, 4) == -math.inf
    assert math.isfinite(sphere_entropy(x, 5))
    x[1] = 0
    assert math.isnan(sphere_entropy(x, 5))
    x[1], x[0, 0] = x[4], math.nan
    assert math.isnan(sphere_entropy(x, 3))


def test_the_measures_read_features_and_classes(lab, blobs, tuned, conv_net):
    data = replace(blobs(), part="test")
    stage = lab.put(tuned(data), conv_net)
    pixels, labels = lab.workspace.pixels(data)
    with torch.no_grad():
        x = conv_net.features(pixels)
    assert lab.run(IntrinsicDimension(stage, on=data))[0] == {"dimension": pytest.approx(two_nn(x), rel=1e-3)}
    results, _ = lab.run(Entropies(stage, on=data, k=2))
    assert list(results) == ["h_z_given_y", "h_z", "information"]
    within = np.mean([sphere_entropy(x[labels == label], 2) for label in range(4)])
    assert results["h_z_given_y"] == pytest.approx(within, abs=1e-3)
    assert results["h_z"] == pytest.approx(sphere_entropy(x, 2), abs=1e-3)
    assert results["information"] == results["h_z"] - results["h_z_given_y"]


def test_too_few_images_are_refused(lab, blobs, tuned, conv_net):
    data = replace(blobs(), part="held_out")
    stage = lab.put(tuned(data), conv_net)
    with pytest.raises(UserError, match=r"Entropies\.k = 4: must be below the 4 images of a class. Lower k"):
        Entropies(stage, on=data, k=4).check(lambda dataset: 16)
    with pytest.raises(UserError, match=r"classes \[0, 1, 2, 3\] of `on` have no more"):
        lab.run(Entropies(stage, on=data, k=4))
    with pytest.raises(UserError, match=r"IntrinsicDimension\.on = .*must have 3 images"):
        IntrinsicDimension(stage, on=data).check(lambda dataset: 2)
    for make, field in (
        (lambda: Entropies(stage, on=data, k=0), "k"),
        (lambda: IntrinsicDimension(stage, on=data, discard=1.0), "discard"),
    ):
        with pytest.raises(UserError, match=rf"\.{field} = "):
            make()
