"""Attacks against linear models whose worst case is known, and against foolbox on a small convolutional network."""

from math import sqrt

import foolbox
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from contrast.attacks import fgsm, fgsm_curve, maximized, pgd, project, robust, start_noise
from contrast.component import UserError

LEVEL = 1 / 255


@pytest.fixture(scope="module")
def net():
    """A small network with smooth activations, so that no gradient is exactly 0 or on a kink."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(72, 4))
    return nn.Sequential(*layers).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images(net):
    """Sixty images in the box, most labelled as the network sees them."""
    draws = torch.Generator().manual_seed(1)
    x = torch.rand(60, 3, 8, 8, generator=draws)
    y = net(x).argmax(1)
    y[::10] = (y[::10] + 1) % 4
    return x, y


def binary(seed=0, size=27):
    """A linear model of two classes, logits (0, w.x + b), away from the box's walls: (net, w, x, y)."""
    draws = torch.Generator().manual_seed(seed)
    w = torch.randn(size, dtype=torch.float64, generator=draws)
    x = 0.5 + 0.02 * torch.randn(40, 3, 3, 3, dtype=torch.float64, generator=draws)
    offset = -(w.sum() * 0.5)

    def net(x):
        margin = x.flatten(1) @ w + offset
        return torch.stack([torch.zeros_like(margin), margin], dim=1)

    return net, w, x, (net(x)[:, 1] > 0).long()


def test_on_a_linear_model_fgsm_moves_the_margin_by_exactly_eps_times_the_l1_norm():
    net, w, x, y = binary()
    examples = fgsm(net, x, y, torch.tensor([0.0, 0.01, 0.05], dtype=torch.float64))
    sign = 1 - 2 * y  # away from the label
    for eps, moved in zip((0.0, 0.01, 0.05), examples, strict=True):
        rise = sign * (net(moved)[:, 1] - net(x)[:, 1])
        assert (rise - eps * w.abs().sum()).abs().max() < 1e-12


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_linear_model_pgd_breaks_at_the_least_distance_and_not_below(norm):
    net, w, x, y = binary()
    dual = w.abs().sum() if norm == "linf" else w.norm()
    least = net(x)[:, 1].abs() / dual
    start = start_noise(np.arange(40), (3, 3, 3), norm, 0).double()
    for factor, expected in ((0.99, False), (1.01, True)):
        eps = factor * least
        attacked = pgd(net, x, y, eps, eps.view(-1, 1, 1, 1) * start, norm, steps=40, step_size=8.0)
        assert (attacked.broken == expected).all()


def test_one_step_of_length_eps_from_the_image_is_fgsm(net, images):
    x, y = images
    eps = torch.full((60,), 4 * LEVEL)
    once = pgd(net, x, y, eps, None, "linf", steps=1, step_size=1.0)
    expected = fgsm(net, x, y, torch.tensor([4 * LEVEL]))[0]
    clean = net(x).argmax(1) == y
    assert torch.allclose(once.examples[clean], expected[clean], atol=1e-7)
    assert torch.equal(once.examples[~clean], x[~clean])  # broken before the first step


def test_fgsm_equals_foolbox(net, images):
    x, y = images
    eps = [0.0, *(level * LEVEL for level in (1, 4, 15, 60))]
    peer = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    _, clipped, broken = foolbox.attacks.LinfFastGradientAttack(random_start=False)(peer, x, y, epsilons=eps)
    examples = fgsm(net, x, y, torch.tensor(eps))
    for ours, theirs in zip(examples, clipped, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    right, _ = fgsm_curve(net, x, y, torch.tensor(eps), batch=17)
    assert torch.equal(right[1:], ~broken)
    assert torch.equal(right[0], net(x).argmax(1) == y)
    assert right[0].sum() > right[-1].sum()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_every_pgd_iterate_equals_foolbox_until_the_sample_is_broken(net, images, norm):
    x, y = images
    radius, steps = (6 * LEVEL, 6) if norm == "linf" else (0.4, 6)
    step = 2.5 * radius / steps
    kind = foolbox.attacks.LinfPGD if norm == "linf" else foolbox.attacks.L2PGD
    peer = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    ours = pgd(net, x, y, torch.full((60,), radius), None, norm, steps, step_size=2.5)
    pending, expected, broken = torch.ones(60, dtype=torch.bool), x.clone(), net(x).argmax(1) != y
    pending &= ~broken
    for count in range(1, steps + 1):
        attack = kind(steps=count, abs_stepsize=step, random_start=False)
        _, (iterate,), _ = attack(peer, x, y, epsilons=[radius])
        expected[pending] = iterate[pending]
        now = pending & (net(iterate).argmax(1) != y)
        broken, pending = broken | now, pending & ~now
    assert torch.equal(ours.broken, broken)
    assert 5 < broken.sum() < 55
    assert torch.allclose(ours.examples, expected, atol=1e-6)


@given(st.sampled_from(["linf", "l2"]), st.floats(0.0, 2.0), st.integers(1, 4), st.floats(0.1, 8.0), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_examples_stay_in_ball_and_box(norm, radius, steps, step_size, seed):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(27, 3)).requires_grad_(False)
    x = torch.rand(8, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    eps = torch.full((8,), radius)
    noise = radius * start_noise(np.arange(8), (3, 3, 3), norm, seed)
    examples = pgd(net, x, net(x).argmax(1), eps, noise, norm, steps, step_size).examples
    delta = (examples - x).flatten(1)
    size = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
    assert (size <= radius + 1e-5).all()
    assert ((examples >= 0) & (examples <= 1)).all()


def test_projection_is_the_nearest_point_of_the_ball():
    delta = torch.tensor([[3.0, -4.0], [0.3, -0.4]]).view(2, 2, 1, 1)
    eps = torch.tensor([1.0, 1.0])
    assert torch.allclose(project(delta, eps, "linf").view(2, 2), torch.tensor([[1.0, -1.0], [0.3, -0.4]]))
    assert torch.allclose(project(delta, eps, "l2").view(2, 2), torch.tensor([[0.6, -0.8], [0.3, -0.4]]))


def test_a_sample_with_a_zero_gradient_is_left_in_place(net, images):
    x, y = images
    flat = lambda x: 0 * net(x) + nn.functional.one_hot(y[: len(x)], 4)  # noqa: E731
    for norm in ("linf", "l2"):
        attacked = pgd(flat, x, y, torch.full((60,), 0.1), None, norm, steps=3)
        assert torch.equal(attacked.examples, x)
        assert not attacked.broken.any()


def test_start_noise_fills_the_ball_and_depends_on_the_id_alone():
    ids = np.arange(4000)
    for norm in ("linf", "l2"):
        noise = start_noise(ids, (1, 2, 2), norm, 0).flatten(1)
        size = noise.abs().amax(1) if norm == "linf" else noise.norm(dim=1)
        assert size.max() <= 1
        assert np.allclose(np.quantile(size**4, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)  # uniform by volume
        assert noise.mean(0).abs().max() < 0.05
        assert torch.equal(start_noise(ids[::-7], (1, 2, 2), norm, 0).flatten(1), noise[torch.from_numpy(ids[::-7].copy())])
        assert not torch.equal(start_noise(ids, (1, 2, 2), norm, 1).flatten(1), noise)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_radii_mixed_in_one_batch_give_what_each_gives_alone(net, images, norm):
    x, y = images
    radii = torch.tensor([0.0, 2 * LEVEL, 8 * LEVEL]) * (1 if norm == "linf" else 16)
    start = start_noise(np.arange(60), (3, 8, 8), norm, 0)
    mixed = radii.repeat_interleave(60)
    together = pgd(net, x.repeat(3, 1, 1, 1), y.repeat(3), mixed, mixed.view(-1, 1, 1, 1) * start.repeat(3, 1, 1, 1), norm, steps=4)
    for i, radius in enumerate(radii):
        alone = pgd(net, x, y, radius.expand(60), radius * start, norm, steps=4)
        assert torch.equal(alone.broken, together.broken[60 * i : 60 * i + 60])
        assert torch.allclose(alone.examples, together.examples[60 * i : 60 * i + 60], atol=1e-6)


def test_the_robust_curve_is_monotone_below_foolbox_and_free_of_the_batch(net, images):
    x, y = images
    eps = torch.tensor([0.0, *(level * LEVEL for level in (1, 2, 4, 8, 16))], dtype=torch.float64)
    start = start_noise(np.arange(60), (3, 8, 8), "linf", 0)
    starts = lambda rows, restart: start[rows]  # noqa: E731
    standing = robust(net, x, y, eps, starts, "linf", steps=5)
    assert torch.equal(standing[0], net(x).argmax(1) == y)
    assert not (standing[1:] & ~standing[:-1]).any()
    assert torch.equal(robust(net, x, y, eps, starts, "linf", steps=5, batch=7), standing)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.equal(robust(net, x[order], y[order], eps, lambda rows, _: start[order][rows], "linf", steps=5), standing[:, order])
    peer = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(steps=5, rel_stepsize=0.5, random_start=False)
    _, _, broken = attack(peer, x, y, epsilons=eps[1:].tolist())
    accuracy, theirs = standing.double().mean(1)[1:], 1 - broken.double().mean(1)
    error = (theirs * (1 - theirs) / 60).sqrt().numpy()
    assert (np.abs(accuracy.numpy() - theirs.numpy()) <= error + 1e-9).all()
    assert accuracy[-1] < accuracy[0]


def test_a_sample_broken_at_a_radius_is_broken_at_every_larger_one_even_if_that_attack_overshoots():
    x, y = torch.full((3, 1, 2, 2), 0.5), torch.zeros(3, dtype=torch.int64)

    def net(x):  # errs only where the mean lies within 0.005 of 0.52
        margin = 0.005**2 - (x.flatten(1).mean(1) - 0.52) ** 2
        return torch.stack([torch.zeros_like(margin), margin], dim=1)

    overshoot = pgd(net, x, y, torch.full((3,), 0.06), steps=1, step_size=1.0)
    assert not overshoot.broken.any()
    standing = robust(net, x, y, torch.tensor([0.0, 0.01, 0.02, 0.06]), steps=1, step_size=1.0)
    assert standing.tolist() == [[True] * 3, [True] * 3, [False] * 3, [False] * 3]


def test_l2_step_is_the_gradient_divided_by_its_length():
    net, w, x, y = binary()
    eps = torch.full((40,), 0.1, dtype=torch.float64)
    clean = pgd(net, x, y, 0 * eps, None, "l2", steps=1).broken
    moved = pgd(net, x, y, eps, None, "l2", steps=1, step_size=1.0).examples - x
    assert not clean.any()
    expected = 0.1 * (1 - 2 * y).double()[:, None] * w / sqrt((w**2).sum())
    assert (moved.flatten(1) - expected).abs().max() < 1e-12


def test_every_restart_counts_and_the_first_is_the_attack_without_restarts(net, images):
    x, y = images
    eps = torch.tensor([4 * LEVEL, 10 * LEVEL])
    noise = torch.stack([start_noise(np.arange(60), (3, 8, 8), "linf", 0, restart) for restart in range(3)])
    once = robust(net, x, y, eps, lambda rows, restart: noise[restart, rows], steps=1, step_size=0.1)
    all_of = robust(net, x, y, eps, lambda rows, restart: noise[restart, rows], steps=1, step_size=0.1, restarts=3)
    alone = [robust(net, x, y, eps, lambda rows, _, i=i: noise[i, rows], steps=1, step_size=0.1) for i in range(3)]
    assert torch.equal(once, alone[0])
    assert torch.equal(all_of, alone[0] & alone[1] & alone[2])
    assert all_of.sum() < once.sum()


def test_the_margin_has_a_gradient_where_cross_entropy_saturates():
    net, w, x, y = binary()
    sure = lambda x: 1e6 * net(x)  # noqa: E731
    eps = 1.05 * net(x)[:, 1].abs() / w.abs().sum()
    assert not pgd(sure, x, y, eps, steps=20).broken.any()
    assert pgd(sure, x, y, eps, steps=20, loss="margin").broken.all()


def test_outputs_that_are_not_finite_are_never_right(net, images):
    x = images[0]
    broken = lambda x: net(x).index_fill(1, torch.tensor([2]), float("nan"))  # noqa: E731
    assert not robust(broken, x, torch.full((60,), 2), torch.tensor([0.0, 0.1])).any()


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_images_outside_the_unit_interval_are_refused(net, images, value):
    x, y = images[0].clone(), images[1]
    x[3, 1, 2, 2] = value
    for attack in (robust, fgsm, fgsm_curve):
        with pytest.raises(UserError, match=r"must be pixels in \[0, 1\]"):
            attack(net, x, y, torch.tensor([0.1]))
    for attack in (pgd, maximized):
        with pytest.raises(UserError, match=r"must be pixels in \[0, 1\]"):
            attack(net, x, y, torch.full((60,), 0.1))
