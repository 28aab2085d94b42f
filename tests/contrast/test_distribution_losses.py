"""Losses that spread embeddings over a distribution: against reference values, closed forms, the signals of the same name, and POT."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from contrast.losses import AlignmentUniformity, SlicedWasserstein
from contrast.losses.sliced_wasserstein import random_basis
from contrast.signals import alignment, uniformity

PRIORS = ("sphere", "cube", "normal")
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sliced(prior: str, draw: int = 0) -> SlicedWasserstein:
    return SlicedWasserstein(prior, 1.0, draw=draw)


@pytest.mark.parametrize(("prior", "expected", "error"), [("sphere", 9.6e-5, 0.1), ("normal", 0.012, 0.1)])
def test_two_samples_of_one_law_are_as_far_apart_as_published(prior, expected, error):
    """512 samples, d = 128 (PROTOCOL 2.6 has one pair of samples, which differ by 6 %); the mean of ten pairs."""
    found = []
    for seed in range(10):
        z = draw(512, 128, seed=seed + 100)
        found.append(sliced(prior, seed).distance(functional.normalize(z, dim=1) if prior == "sphere" else z).item())
    assert sum(found) / 10 == pytest.approx(expected, rel=error)


def test_a_collapsed_batch_has_the_distance_of_a_point_to_its_prior():
    """2 / d for the sphere (0.0157 against 0.0156), 1 for the normal, 1 / 3 for the cube, from 512 samples."""
    point = functional.normalize(draw(1, 128), dim=1).expand(512, 128)
    assert sliced("sphere").distance(point).item() == pytest.approx(2 / 128, rel=0.02)
    assert sliced("normal").distance(torch.zeros(512, 128)).item() == pytest.approx(1, rel=0.02)
    assert sliced("cube").distance(torch.zeros(512, 128)).item() == pytest.approx(1 / 3, rel=0.02)


def test_in_one_dimension_it_is_the_squared_distance_of_the_sorted_numbers():
    z = draw(50, 1)
    generator = torch.Generator().manual_seed(7)
    sign = random_basis(1, generator)
    prior = torch.randn(50, 1, dtype=torch.float64, generator=generator)
    assert sign.abs().item() == 1
    expected = ((z.sort(0).values - prior.sort(0).values) ** 2).mean()
    torch.testing.assert_close(
        sliced("normal", 7).distance(z),
        expected if sign > 0 else ((z.neg().sort(0).values - prior.neg().sort(0).values) ** 2).mean(),
        **TOLERANCE,
    )


@pytest.mark.parametrize("prior", PRIORS)
def test_it_is_the_mean_over_the_directions_of_pots_squared_distances(prior):
    """Against POT's sliced Wasserstein distance along the same basis and against the same samples."""
    ot = pytest.importorskip("ot", reason="POT is a peer that only the tests' extra installs")
    z = draw(40, 6)
    generator = torch.Generator().manual_seed(11)
    basis = random_basis(6, generator)
    samples = sliced(prior)._samples(40, 6, generator)
    peer = ot.sliced_wasserstein_distance(z, samples, projections=basis, p=2)
    torch.testing.assert_close(sliced(prior, 11).distance(z), peer**2, **TOLERANCE)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_loss_is_alignment_and_weighted_distance_scaled(prior):
    output = draw(9, 2, 4)
    z = functional.normalize(output, dim=-1) if prior == "sphere" else output
    aligned = ((z[:, 0] - z[:, 1]) ** 2).sum() / (2 * 9 * 4)
    expected = 3 * (aligned + 0.7 * sliced(prior, 5).distance(z.flatten(0, 1)))
    torch.testing.assert_close(SlicedWasserstein(prior, 0.7, scale=3.0, draw=5)(output, None), expected, **TOLERANCE)


def test_a_basis_is_orthogonal_and_its_entries_have_the_law_of_a_random_direction():
    basis = random_basis(64, torch.Generator().manual_seed(0))
    torch.testing.assert_close(basis @ basis.T, torch.eye(64, dtype=torch.float64), **TOLERANCE)
    diagonals = torch.stack([random_basis(4, torch.Generator().manual_seed(seed)).diagonal() for seed in range(400)])
    assert diagonals.mean().abs() < 0.06  # the R of a plain QR has negative entries on its diagonal, so that Q is biased
    assert diagonals.square().mean().item() == pytest.approx(1 / 4, rel=0.1)


def test_each_step_of_a_training_draws_anew_and_the_same_again():
    loss, output = SlicedWasserstein("normal", 1.0), draw(9, 2, 4)
    places = [(0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0)]
    values = [loss.at_step(*place)(output, None).item() for place in places]
    assert values == [loss.at_step(*place)(output, None).item() for place in places]
    assert len(set(values)) == 4
    fixed = replace(loss, draw=3)
    assert fixed.at_step(0, 1, 0) == fixed
    assert loss(output, None) == replace(loss, draw=0)(output, None)


@pytest.mark.parametrize(("alpha", "t"), [(2.0, 2.0), (1.0, 0.5)])
def test_alignment_and_uniformity_are_the_signals_of_that_name(alpha, t):
    output = draw(9, 2, 4)
    first, second = output.unbind(1)
    spread = (uniformity(first, t) + uniformity(second, t)) / 2
    expected = 0.5 * alignment(first, second, alpha) + 3.0 * spread
    found = AlignmentUniformity(alpha, t, alignment_weight=0.5, uniformity_weight=3.0)(output, None)
    torch.testing.assert_close(found, expected, **TOLERANCE)


def test_alignment_and_uniformity_have_their_closed_forms():
    """Collapse costs 0; two antipodal points have uniformity -4 t; on a large sphere an even spread has about -2 t."""
    assert AlignmentUniformity()(torch.ones(5, 2, 3), None).item() == pytest.approx(0, abs=1e-6)
    poles = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])[:, None].repeat(1, 2, 1)
    assert AlignmentUniformity(t=1.5)(poles, None).item() == pytest.approx(-6, rel=1e-6)
    spread = draw(300, 1, 512).repeat(1, 2, 1)
    assert AlignmentUniformity()(spread, None).item() == pytest.approx(-4, rel=0.02)


def test_alignment_of_three_views_is_the_mean_over_their_pairs():
    output = draw(6, 3, 4)
    only = AlignmentUniformity(uniformity_weight=0.0)
    pairs = [only(output[:, pair], None) for pair in ([0, 1], [0, 2], [1, 2])]
    torch.testing.assert_close(only(output, None), torch.stack(pairs).mean(), **TOLERANCE)
    assert math.isfinite(AlignmentUniformity()(output, None))
