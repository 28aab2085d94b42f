"""Logistic regressions of many strengths at once against scikit-learn one by one, closed forms, and the gradient at the optimum."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import cross_entropy

from contrast import logistic
from contrast.logistic import fit_logistic
from contrast.probe import choose_l2, fit_probe, held_out_tenth

GRID = tuple(10.0**exponent for exponent in range(-6, 6))


def clouds(n, d=12, classes=5, seed=0, spread=1.5):
    """Classes around means; the features' scales range over three decades and their mean is not 0."""
    draws = torch.Generator().manual_seed(seed)
    means = torch.randn(classes, d, dtype=torch.float64, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(n) % classes
    noise = spread * torch.randn(n, d, dtype=torch.float64, generator=draws)
    return (means[labels] + noise) * torch.logspace(-2, 1, d, dtype=torch.float64) + 3, labels


def objective(x, y, weight, bias, l2):
    return cross_entropy(x.double() @ weight.T + bias, y) + l2 / 2 * weight.square().sum()


@pytest.mark.parametrize(("samples", "width", "classes"), [(500, 12, 5), (120, 3, 2), (40, 60, 3)])
def test_every_strength_has_the_optimum_of_scikit_learn(samples, width, classes):
    """Weights to 1e-4 relative, losses to 1e-8; the objective is nowhere above that of scikit-learn."""
    x, y = clouds(samples, width, classes)
    fits = fit_logistic([x], [y], GRID)
    assert fits.converged.all()
    for l2, weight, bias in zip(GRID, fits.weight[0], fits.bias[0], strict=True):
        peer = LogisticRegression(C=1 / (len(x) * l2), tol=1e-9, max_iter=100_000, solver="newton-cg").fit(x.numpy(), y.numpy())
        theirs, shift = (torch.from_numpy(part) for part in (peer.coef_, peer.intercept_))
        if classes == 2:  # scikit-learn's has one weight, and its penalty is half of that of two opposite ones
            half = LogisticRegression(C=2 / (len(x) * l2), tol=1e-9, max_iter=100_000, solver="newton-cg").fit(x.numpy(), y.numpy())
            theirs, shift = (torch.cat([-part, part]) / 2 for part in (torch.from_numpy(half.coef_), torch.from_numpy(half.intercept_)))
        assert (weight - theirs).norm() < 1e-4 * theirs.norm(), l2
        # The bias is free, so both are compared up to the shift that the softmax does not see.
        assert (bias - bias.mean() - shift + shift.mean()).norm() < 1e-4 * (1 + shift.norm()), l2
        gap = objective(x, y, weight, bias, l2) - objective(x, y, theirs, shift, l2)
        assert -1e-8 < gap < 1e-12, l2


@pytest.mark.parametrize("spread", [1.5, 0.05], ids=["overlapping", "separable"])
def test_the_gradient_is_zero_at_every_optimum(spread):
    """By autograd, from 1e-12 to 1e8; of separable classes under almost no penalty too."""
    x, y = clouds(300, spread=spread)
    grid = tuple(10.0**exponent for exponent in range(-12, 9, 2))
    fits = fit_logistic([x], [y], grid)
    assert fits.converged.all()
    assert (fits.excess < 1e-15).all()
    for l2, weight, bias in zip(grid, fits.weight[0], fits.bias[0], strict=True):
        weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
        objective(x, y, weight, bias, l2).backward()
        assert max(weight.grad.norm(), bias.grad.norm()) < 1e-6
        assert weight.grad.norm() < 1e-6 * (1 / l2 if l2 > 1 else 1) * max(1, l2)


def test_features_that_tell_nothing_give_the_shares_of_the_classes():
    """All 0: log C where classes are equal, their entropy where not, for every strength; so does a penalty that grows without end."""
    equal, unequal = torch.arange(60) % 5, torch.tensor([0] * 30 + [1] * 10)
    for y in (equal, unequal):
        shares = torch.bincount(y).double() / len(y)
        entropy = -(shares * shares.log()).sum().item() if y is unequal else math.log(5)
        blank = torch.zeros(len(y), 4)
        x = torch.randn(len(y), 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        for data, grid in ((blank, (1e-6, 1.0)), (torch.full_like(blank, 3.7), (1e-6, 1.0)), (x, (1e12,))):
            fits = fit_logistic([data], [y], grid)
            assert fits.converged.all()
            for weight, bias in zip(fits.weight[0], fits.bias[0], strict=True):
                assert cross_entropy(data.double() @ weight.T + bias, y).item() == pytest.approx(entropy, abs=1e-9)
                torch.testing.assert_close(bias.softmax(0), shares, atol=1e-7, rtol=0)


def test_problems_together_are_problems_one_by_one(monkeypatch):
    """Tasks of different size, strengths in any order, and in memory one after another: 1e-8."""
    tasks = [clouds(n, seed=n) for n in (90, 200, 35)]
    grid = (1e-2, 1e-5, 10.0, 1e-3)
    x, y = ([task[i] for task in tasks] for i in (0, 1))
    exact = partial(fit_logistic, tolerance=1e-11)
    fits = exact(x, y, grid)
    assert fits.weight.shape == (3, 4, 5, 12)
    for t, task in enumerate(tasks):
        for r, l2 in enumerate(grid):
            alone = exact([task[0]], [task[1]], (l2,))
            torch.testing.assert_close(fits.weight[t, r], alone.weight[0, 0], rtol=1e-8, atol=1e-8)
            torch.testing.assert_close(fits.bias[t, r], alone.bias[0, 0], rtol=1e-8, atol=1e-8)
    monkeypatch.setattr(logistic, "_CELLS", 1000)
    torch.testing.assert_close(exact(x, y, grid).weight, fits.weight, rtol=1e-8, atol=1e-8)
    stacked = torch.stack([clouds(60, seed=s)[0] for s in (1, 2)])
    both = exact(stacked, torch.stack([clouds(60)[1]] * 2), (0.1,))
    torch.testing.assert_close(both.weight[1], exact(stacked[1:], clouds(60)[1][None], (0.1,)).weight[0])


def test_renamed_classes_get_the_same_weights_in_their_new_order():
    x, y = clouds(150)
    order = torch.tensor([3, 0, 4, 1, 2])
    fits, renamed = (fit_logistic([x], [labels], GRID, tolerance=1e-10) for labels in (y, order[y]))
    apart = (renamed.weight[:, :, order] - fits.weight).norm(dim=(2, 3))
    assert (apart < 1e-6 * fits.weight.norm(dim=(2, 3))).all()


def test_a_fit_without_steps_enough_is_marked_and_says_how_far_it_is():
    x, y = clouds(300)
    short, full = (fit_logistic([x], [y], (1e-6, 1e6), iterations=steps) for steps in (3, 100))
    assert short.converged.tolist() == [[False, True]]
    gap = objective(x, y, short.weight[0, 0], short.bias[0, 0], 1e-6) - objective(x, y, full.weight[0, 0], full.bias[0, 0], 1e-6)
    assert gap / 100 < short.excess[0, 0] < gap * 100


def test_a_class_without_a_sample_and_strengths_that_are_none_are_refused():
    x, y = clouds(20)
    for labels, l2 in ((y * 2, (0.1,)), (y, (0.0,)), (y, (0.1, -1.0)), (y, (math.nan,))):
        with pytest.raises(ValueError, match="must have samples of the same classes 0 to C - 1, and l2 must be above 0"):
            fit_logistic([x], [labels], l2)


def test_a_probe_does_not_depend_on_scale_or_place_of_the_features():
    x, y = clouds(100)
    probe, moved = fit_probe(x, y, (1e-3, 1.0)), fit_probe(1000 * x + 7, y, (1e-3, 1.0))
    torch.testing.assert_close((1000 * x + 7) @ moved.weight.T + moved.bias, x @ probe.weight.T + probe.bias, rtol=1e-6, atol=1e-6)
    assert (probe.l2, probe.unconverged) == (moved.l2, 0)


def test_the_held_out_tenth_is_stratified_and_last_by_id():
    y = torch.arange(6).repeat_interleave(torch.tensor([50, 30, 10, 4, 100, 1]))
    held = held_out_tenth(y)
    assert torch.bincount(y[held]).tolist() == [5, 3, 1, 1, 10]
    assert held[45:50].all()
    assert not held[:45].any()


def test_l2_is_chosen_on_the_held_out_tenth_alone():
    """By accuracy, then by the loss, as fits of scikit-learn on the rest rank them; of equal strengths the first."""
    x, y = clouds(200, spread=3.0)
    grid, held = (1e-4, 1e-2, 1.0, 10.0), held_out_tenth(y).numpy()
    scores = {}
    for l2 in grid:
        peer = LogisticRegression(C=1 / ((~held).sum() * l2), tol=1e-10, max_iter=5000, solver="newton-cg").fit(
            x.numpy()[~held], y.numpy()[~held]
        )
        loss = -peer.predict_log_proba(x.numpy()[held])[np.arange(held.sum()), y.numpy()[held]].mean()
        scores[l2] = (peer.score(x.numpy()[held], y.numpy()[held]), -loss)
    assert choose_l2(x, y, grid) == (max(grid, key=scores.__getitem__), 0)
    assert choose_l2(torch.zeros(20, 2, dtype=torch.float64), torch.arange(20) % 2, (0.1, 10.0, 1.0)) == (10.0, 0)
