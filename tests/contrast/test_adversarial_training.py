"""The attacks of adversarial training: against linear models whose worst case is known, and against what judges them later."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from contrast import AdversarialTraining, UserError
from contrast.attacks import maximized, pgd, start_noise

IDS = np.arange(40)
RADII = {"linf": 8 / 255, "l2": 0.5}


def images(n=40, seed=0):
    """In the box, some at its walls."""
    return (1.2 * torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) - 0.1).clamp(0, 1)


def drawn(net, seed=0):
    """`net` with weights drawn for `seed`."""
    generator = torch.Generator().manual_seed(seed)
    for weight in net.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    return net


def linear(classes=3, seed=0):
    return drawn(nn.Sequential(nn.Flatten(), nn.Linear(48, classes)), seed)


def smooth():
    return drawn(nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.Tanh(), nn.Linear(16, 3)))


def normed():
    return drawn(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3), nn.Dropout(0.5)))


def labels_of(net, x):
    with torch.no_grad():
        return net.eval()(x).argmax(1)


def paid(net, x, y):
    with torch.no_grad():
        return cross_entropy(net(x), y, reduction="none")


def size(delta, norm):
    return delta.flatten(1).abs().amax(1) if norm == "linf" else delta.flatten(1).norm(dim=1)


@given(st.sampled_from(["linf", "l2"]), st.floats(0.0, 2.0), st.integers(1, 4), st.floats(0.1, 8.0), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_attacked_images_lie_in_ball_and_box(norm, radius, steps, step_size, seed):
    x, net = images(8, seed), linear(seed=seed)
    radius = min(radius, 1.0) if norm == "linf" else radius
    attack = AdversarialTraining(radius, norm, steps=steps, step_size=step_size)
    attacked = attack(net, x, labels_of(net, x), IDS[:8], seed, 1)
    assert (size(attacked - x, norm) <= radius + 1e-5).all()
    assert ((attacked >= 0) & (attacked <= 1)).all()
    assert not attacked.requires_grad


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_linear_model_of_two_classes_the_worst_image_of_the_ball_is_found(norm):
    """It moves the margin by eps |w|_1 or eps |w|_2, whatever the start: away from the walls of the box, to 1e-5."""
    net, x = linear(2), 0.5 + 0.2 * (images() - 0.5)
    y, eps = labels_of(net, x), 0.1
    attacked = AdversarialTraining(eps, norm, steps=50, step_size=10.0)(net, x, y, IDS, 0, 1)
    w = net[1].weight[1] - net[1].weight[0]
    towards = (1 - 2 * y).float()[:, None] * (w.sign() if norm == "linf" else w / w.norm())
    assert torch.allclose((attacked - x).flatten(1), eps * towards, atol=1e-5 if norm == "linf" else 1e-3)
    moved = (net(attacked) - net(x)) @ torch.tensor([-1.0, 1.0])
    assert torch.allclose(moved.abs(), eps * (w.abs().sum() if norm == "linf" else w.norm()).expand(40), rtol=1e-4)


@given(st.integers(0, 999), st.floats(0.0, 1.0), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_one_step_from_the_image_lowers_the_loss_of_no_sample_of_a_linear_model(seed, radius, classes):
    """Cross-entropy is convex there, and clipping shortens a step and turns no part of it."""
    net, x = linear(classes, seed).double(), images(8, seed).double()
    y = torch.from_numpy(np.arange(8) % classes)
    moved = maximized(net, x, y, torch.full((8,), radius, dtype=torch.float64), None, "linf", steps=1)
    assert (paid(net, moved, y) >= paid(net, x, y) - 1e-12).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_where_no_iterate_is_an_error_the_attack_is_pgd_and_else_it_goes_on(norm):
    net, x = smooth(), images()
    y = labels_of(net, x)
    eps = torch.full((40,), RADII[norm])
    start = eps.view(-1, 1, 1, 1) * start_noise(IDS, (3, 4, 4), norm, 0)
    judged = pgd(net, x, y, eps, start, norm, 6)
    ours = maximized(net, x, y, eps, start, norm, 6)
    assert 3 < judged.broken.sum() < 37
    assert torch.allclose(ours[~judged.broken], judged.examples[~judged.broken], atol=1e-6)
    later = paid(net, ours, y) - paid(net, judged.examples, y)
    assert (later[judged.broken] > 0).float().mean() > 0.9
    assert torch.equal(AdversarialTraining(RADII[norm], norm, steps=6)(net, x, y, IDS, 0, 0), ours)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_attack_belongs_to_seed_epoch_and_id_whatever_the_batch(norm):
    net, x, attack = normed(), images(), AdversarialTraining(RADII[norm], norm, steps=3)
    y = labels_of(net, x)
    whole = attack(net, x, y, IDS, 0, 1)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    parts = [attack(net, x[rows], y[rows], IDS[rows.numpy()], 0, 1) for rows in order.split(7)]
    assert torch.allclose(torch.cat(parts), whole[order], atol=1e-6)
    assert torch.equal(attack(net, x, y, IDS, 0, 1), whole)
    for other in (attack(net, x, y, IDS, 0, 2), attack(net, x, y, IDS, 1, 1), attack(net, x, y, IDS + 1, 0, 1)):
        assert not torch.allclose(other, whole, atol=1e-3)


@pytest.mark.parametrize("train_mode", [None, True])
def test_an_attack_leaves_no_trace_in_the_network(train_mode):
    """Nor in torch's generator, of which dropout draws."""
    net, x = normed().train(), images()
    net[4].eval()
    for weight in net.parameters():
        weight.grad = torch.ones_like(weight)
    kept, state = {name: tensor.clone() for name, tensor in net.state_dict().items()}, torch.get_rng_state()
    AdversarialTraining(8 / 255, train_mode=train_mode)(net, x, torch.zeros(40, dtype=torch.int64), IDS, 0, 1)
    assert [module.training for module in net] == [True, True, True, True, False, True]
    assert net[1].track_running_stats
    assert all(torch.equal(tensor, kept[name]) for name, tensor in net.state_dict().items())
    assert all(weight.requires_grad and torch.equal(weight.grad, torch.ones_like(weight)) for weight in net.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_modes_are_put_back_after_an_error():
    net = normed().train()
    with pytest.raises(RuntimeError):
        AdversarialTraining(8 / 255)(net, images()[:, :2], torch.zeros(40, dtype=torch.int64), IDS, 0, 1)
    assert all(module.training for module in net.modules())


def test_train_mode_takes_the_statistics_of_the_batch_where_the_network_does():
    """In eval mode each image is attacked by itself, in training mode with the others; a frozen normalisation stays."""
    x, y = images(), torch.from_numpy(IDS % 3)
    alone, together = AdversarialTraining(8 / 255), AdversarialTraining(8 / 255, train_mode=True)
    net = normed().train()
    assert torch.equal(alone(net, x, y, IDS, 0, 1), alone(net.eval(), x, y, IDS, 0, 1))
    assert not torch.equal(together(net.train(), x, y, IDS, 0, 1), alone(net, x, y, IDS, 0, 1))
    net[1].eval()
    assert torch.equal(together(net, x, y, IDS, 0, 1), alone(net, x, y, IDS, 0, 1))


def test_a_radius_of_zero_is_no_attack_and_options_that_are_off_are_none():
    x = images()
    assert AdversarialTraining(0.0)(normed(), x, torch.zeros(40, dtype=torch.int64), IDS, 0, 1) is x
    assert AdversarialTraining(0.1, train_mode=False, clean=False) == AdversarialTraining(0.1)
    assert AdversarialTraining(0.1, clean=True).clean


REFUSED = {
    "eps": {"eps": -1 / 255},
    "eps, no number": {"eps": math.nan},
    "norm": {"norm": "l1"},
    "steps": {"steps": 0},
    "step_size": {"step_size": 0.0},
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_by_field(wrong):
    with pytest.raises(UserError, match=rf"^AdversarialTraining\.{next(iter(wrong))} = .+: must .+\. .+"):
        AdversarialTraining(**{"eps": 0.1, **wrong})
