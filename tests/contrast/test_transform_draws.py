"""Parameters are drawn by the laws that the protocol states, each row's on its own; 6,000 rows under fixed seeds, p > 1e-3."""

import numpy as np
import pytest
import torch
from scipy import stats

from contrast.augmentations import Augment, AutoAugment, ColorJitter, Cutout, RandAugment, recipes
from contrast.augmentations.auto_augment import POLICY, random_pairs
from contrast.augmentations.draws import Draws
from contrast.augmentations.gaussian_blur import random_blurs
from contrast.augmentations.levels import equalized
from contrast.augmentations.rand_augment import CHOICES, random_layers
from contrast.augmentations.random_crop import random_corners
from contrast.augmentations.random_rotation import random_angles
from contrast.augmentations.sparse_warp import random_moves
from contrast.augmentations.tone import equalize

ROWS = 6_000
MANY = Draws(seed=0, ids=np.arange(ROWS), epoch=1, views=1)
TWO = Draws(seed=0, ids=np.arange(ROWS // 2), epoch=1, views=2)
LIKELY = 1e-3


def share(of, p):
    assert stats.binomtest(int(np.sum(of)), len(of), p).pvalue > LIKELY


def evenly(places, kinds):
    assert stats.chisquare(np.bincount(places, minlength=kinds)).pvalue > LIKELY


def uncorrelated(*columns):
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns))).max() < 5 / np.sqrt(len(columns[0]))


def test_blurs():
    applied, sigma = random_blurs(0.5, (0.1, 2.0), MANY)
    share(applied, 0.5)
    assert stats.kstest(sigma, stats.uniform(0.1, 1.9).cdf).pvalue > LIKELY
    uncorrelated(applied, sigma)


def test_rotations():
    assert stats.kstest(random_angles(15.0, MANY), stats.uniform(-15, 30).cdf).pvalue > LIKELY


def test_corners():
    corners = random_corners((8, 3), MANY)
    evenly(corners[:, 0], 9)
    evenly(corners[:, 1], 4)
    uncorrelated(*corners.T)


def test_layers_of_rand_augment():
    choices, strengths = random_layers(2, 10.0, TWO)
    uncorrelated(*choices, *(s.sign for s in strengths))
    for choice, strength in zip(choices, strengths, strict=True):
        evenly(choice, len(CHOICES))
        share(strength.sign > 0, 0.5)
        assert set(strength.level) == {10.0}
        assert stats.kstest(strength.place.ravel(), "uniform").pvalue > LIKELY


def test_pairs_of_auto_augment():
    pair, applied, sign = random_pairs(TWO)
    evenly(pair, 25)
    share(sign.ravel() > 0, 0.5)
    for number, line in enumerate(POLICY):
        for place in range(2):
            of = applied[pair == number, place]
            assert abs(of.mean() - line[place][1]) <= 5 * np.sqrt(line[place][1] * (1 - line[place][1]) / len(of))


def test_moves_of_a_warp_are_normal_times_one_uniform_strength_an_image():
    """Moments of a product of a standard normal and a uniform from 0 to 2.3: variance 2.3² / 3, fourth 3 * 2.3⁴ / 5; five deviations."""
    applied, moves = random_moves(0.5, 2.3, MANY)
    share(applied, 0.5)
    flat = moves.reshape(ROWS, 8)
    assert abs(flat.mean()) < 5 * np.sqrt(2.3**2 / 3 / flat.size)
    assert (flat**2).mean() == pytest.approx(2.3**2 / 3, rel=0.05)
    assert (flat**4).mean() == pytest.approx(3 * 2.3**4 / 5, rel=0.1)
    assert np.corrcoef(np.abs(flat.T)).min() > 0.05  # they share the strength
    assert np.abs(np.corrcoef(flat.T) - np.eye(8)).max() < 0.1


def test_cutout_centres_are_every_pixel_alike():
    """One pixel cut out: its row and column are uniform."""
    x = Cutout(side=1, fill=1.0)(torch.zeros(ROWS, 1, 4, 5), MANY)
    assert (x.sum((1, 2, 3)) == 1).all()
    evenly(x.flatten(1).argmax(1).numpy(), 20)


def test_a_choice_is_applied_to_its_row_alone():
    """RandAugment's result is its operations one after the other, row by row."""
    x = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    draws = Draws(0, np.arange(40), 1, 1)
    got = RandAugment(2, 7.0)(x.clone(), draws)
    choices, strengths = random_layers(2, 7.0, draws)
    for row in range(40):
        wanted = x[row : row + 1].clone()
        for choice, strength in zip(choices, strengths, strict=True):
            wanted = CHOICES[choice[row]](wanted, strength.take(np.array([row])))
        assert torch.equal(got[row : row + 1], wanted)


def test_a_pair_is_applied_to_its_row_alone():
    x = torch.rand(60, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    draws = Draws(0, np.arange(60), 1, 1)
    got = AutoAugment()(x.clone(), draws)
    pair, applied, _ = random_pairs(draws)
    untouched = ~applied.any(1)
    assert untouched.any()
    assert torch.equal(got[untouched], x[untouched])
    alone = [i for i in range(60) if POLICY[pair[i]][0][0] is equalized and applied[i].tolist() == [True, False]]
    assert alone
    assert torch.equal(got[alone], equalize(x[alone]))


def test_recipes_that_share_an_operation_share_its_draws():
    """Where neither jitter nor grey nor blur came, SimCLR's views on ImageNet are those on CIFAR."""
    x, ids = torch.rand(64, 3, 24, 24, generator=torch.Generator().manual_seed(0)), np.arange(64)
    small, large = recipes.simclr_cifar_tf()(x, ids, 3, 1), recipes.simclr_imagenet()(x, ids, 3, 1)
    same = (small == large).flatten(2).all(2)
    assert 0 < same.float().mean() < 0.5


def test_a_recipe_is_the_value_that_a_user_would_write():
    assert recipes.moco_cifar() == Augment(recipes.moco_cifar().operations)
    assert recipes.simaugment(warp=0.5).operations[4].p == 0.5
    assert ColorJitter((0.4, 0.4, 0.4, 0.1), 0.8) in recipes.moco_v2().operations
