"""Attacks without gradients and AutoAttack against linear models and PGD; networks whose gradients mislead are found out."""

import numpy as np
import pytest
import torch
from torch import nn

import analysis.robustness.autoattack
from analysis import PGD, Accuracy, AutoAttack, GradientMasking
from analysis.robustness.gradient_masking import checks
from analysis.robustness.square import square
from contrast.component import UserError


def binary():
    """A linear model of two classes, away from the box's walls: (net, x, y, least l_inf distance)."""
    draws = torch.Generator().manual_seed(0)
    w = torch.randn(27, dtype=torch.float64, generator=draws)
    x = 0.5 + 0.02 * torch.randn(20, 3, 3, 3, dtype=torch.float64, generator=draws)

    def net(x):
        margin = (x.flatten(1) - 0.5) @ w
        return torch.stack([torch.zeros_like(margin), margin], 1)

    margin = net(x)[:, 1]
    return net, x, (margin > 0).long(), margin.abs() / w.abs().sum()


@pytest.mark.parametrize(
    ("attack", "accuracy", "failed"),
    [
        *(("zero", 59.0, "zero_is_clean"), ("zero", 59.5, ""), ("huge", 10.0, "huge_below_chance"), ("huge", 9.5, "")),
        *(("fgsm", 19.5, "fgsm_not_stronger"), ("square", 19.5, "square_not_stronger"), ("noise", 19.5, "noise_not_stronger")),
        *(("more", 19.0, ""), ("more", 18.5, "steps_enough")),
    ],
)
def test_each_check_fails_for_its_own_reason(attack, accuracy, failed):
    percent = {"clean": 60, "zero": 60, "noise": 55, "square": 30, "fgsm": 25, "pgd": 20, "more": 20, "huge": 0, attack: accuracy}
    assert [name for name, passed in checks(percent, 200, 10).items() if not passed] == ([failed] if failed else [])
    if attack == "more":
        assert checks(percent, 50, 10)["steps_enough"], "one of 50 samples is 2 points"


def test_square_breaks_no_linear_model_below_its_least_distance_and_most_soon_above():
    net, x, y, least = binary()
    ids = np.arange(20)
    below = [bool(square(net, x[i : i + 1], y[i : i + 1], 0.99 * float(least[i]), ids[i : i + 1], 60)) for i in range(20)]
    above = [bool(square(net, x[i : i + 1], y[i : i + 1], 1.6 * float(least[i]), ids[i : i + 1], 300)) for i in range(20)]
    assert not any(below)
    assert np.mean(above) > 0.8


def test_square_counts_equal_logits_as_every_accuracy_does():
    net = lambda x: torch.zeros(len(x), 4)  # noqa: E731
    x, y = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4
    assert square(net, x, y, 0.1, np.arange(8), 3).tolist() == (y != 0).tolist()


def test_square_is_free_of_the_batch_and_finds_no_less_with_more_queries():
    net, x, y, least = binary()
    ids, eps = np.arange(20), 1.5 * float(least.median())
    found = square(net, x, y, eps, ids, 50)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(square(net, x[order], y[order], eps, order.numpy(), 50, batch=3), found[order])
    assert 0 < found.sum() < 20
    assert square(net, x, 1 - y, eps, ids, 1).all()  # misclassified as they are


def test_an_honest_network_passes_and_one_without_gradients_does_not(lab, blobs, tuned, linear_net):
    data = blobs(per_class=6).held_out("confirm")
    honest = lab.put(tuned(data, seed=0), linear_net.requires_grad_(False))
    x, y = lab.workspace.pixels(data)
    linear_net.top.weight.data = 2 * torch.stack([(x[y == k].mean(0) - x.mean(0)).flatten() for k in range(4)])
    linear_net.top.bias.data = -linear_net.top.weight.data @ ((x.mean(0) - linear_net.mean[0]) / linear_net.std[0]).flatten()
    measure = GradientMasking(honest, on=data, eps=50 / 255, queries=40, samples=None)
    results, arrays = lab.run(measure)
    assert results["suspect"] == 0
    assert {name: results[name] for name in list(results)[1:7]} == dict.fromkeys(list(results)[1:7], 1.0)
    assert results["accuracy_clean"] == results["accuracy_zero"] == pytest.approx(lab.run(Accuracy(honest, on=data))[0]["accuracy"])
    assert results["accuracy_pgd"] == lab.run(PGD(honest, on=data, eps=(50 / 255,), samples=None))[0]["accuracy"]
    assert results["accuracy_pgd"] < results["accuracy_clean"]
    first = results
    linear_net.top = nn.Sequential(linear_net.top, Scaled(1e6))
    masked = lab.put(tuned(data, seed=1), linear_net)
    results, _ = lab.run(GradientMasking(masked, on=data, eps=150 / 255, queries=60, samples=None))
    assert results["suspect"] == 1
    assert results["huge_below_chance"] == results["square_not_stronger"] == 0
    assert results["zero_is_clean"] == 1
    linear_net.top = linear_net.top[0]
    again, kept = lab.stopped(measure)
    assert again == first
    assert all(np.array_equal(kept[name], arrays[name]) for name in arrays)


class Scaled(nn.Module):
    """A temperature at which softmax saturates, and cross-entropy has no gradient."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, z):
        return self.factor * z


@pytest.mark.parametrize(("norm", "eps"), [("linf", 8 / 255), ("l2", 0.4)])
def test_autoattack_finds_no_less_than_pgd(lab, blobs, tuned, linear_net, norm, eps):
    pytest.importorskip("pyautoattack")
    data = blobs(per_class=4).held_out("confirm")
    stage = lab.put(tuned(data), linear_net.requires_grad_(False))
    data = blobs(per_class=4).held_out("confirm")
    measure = AutoAttack(stage, on=data, norm=norm, eps=eps, steps=10, queries=10, samples=None)
    before = torch.random.get_rng_state()
    results, arrays = lab.run(measure)
    assert torch.equal(torch.random.get_rng_state(), before)
    attacked = lab.run(PGD(stage, on=data, norm=norm, eps=(eps,), samples=None))[0]
    assert results["accuracy"] <= attacked["accuracy"]
    assert results["clean"] == attacked["clean"]
    again, kept = lab.stopped(measure)
    assert again == results
    assert np.array_equal(kept["standing"], arrays["standing"])


def test_without_its_package_autoattack_is_refused_before_any_training(blobs, tuned, monkeypatch):
    measure = AutoAttack(tuned(blobs()), on=blobs())
    monkeypatch.setattr(analysis.robustness.autoattack, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pyautoattack is not installed. Install it: pip install"):
        measure.check(lambda data: 100)


def test_fields_that_mean_nothing_are_refused(blobs, tuned, spoiled):
    data, stage = blobs(), tuned(blobs())
    for make, field in (
        (lambda: GradientMasking(stage, data, eps=0.0), "eps"),
        (lambda: GradientMasking(stage, data, eps=8.0), "eps"),
        (lambda: GradientMasking(stage, data, queries=0), "queries"),
        (lambda: AutoAttack(stage, data, eps=0.0), "eps"),
        (lambda: AutoAttack(stage, data, attacks=()), "attacks"),
        (lambda: AutoAttack(stage, data, attacks=("square", "square")), "attacks"),
        (lambda: spoiled(AutoAttack(stage, data), "norm", "l1"), "norm"),
        (lambda: AutoAttack(stage, blobs(classes=(0, 1))), "on"),
    ):
        with pytest.raises(UserError, match=rf"\.{field} = "):
            make()
