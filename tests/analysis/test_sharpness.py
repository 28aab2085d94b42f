"""Sharpness against closed forms of quadratic losses, and what rescaling a network leaves alone."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from analysis import Sharpness
from analysis.geometry.sharpness import rise
from contrast.component import UserError
from contrast.model import Net


def bowl(size=12, slope=1.0):
    """loss, gradient, curvature and gradient at 0 of a convex quadratic function."""
    draws = torch.Generator().manual_seed(0)
    root = torch.randn(size, size, generator=draws, dtype=torch.float64)
    a, b = root @ root.T / size, slope * torch.randn(size, generator=draws, dtype=torch.float64)
    return lambda w: (w @ a @ w / 2 + b @ w).item(), lambda w: a @ w + b, a, b


def largest_rise(a, b, radius):
    """max of e'ae/2 + b'e over |e| <= radius: e = (m - a)^-1 b with the m above a's eigenvalues for which |e| is the radius."""
    values, vectors = torch.linalg.eigh(a)
    along = vectors.T @ b
    low, high = values[-1].item(), values[-1].item() + b.norm().item() / radius
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (along / (middle - values)).norm() > radius else (low, middle)
    e = vectors @ (along / (high - values))
    return (e @ a @ e / 2 + b @ e).item()


@pytest.mark.parametrize("radius", [0.05, 0.5])
def test_on_a_quadratic_one_step_and_many_are_their_closed_forms(radius):
    loss, gradient, a, b = bowl()
    at, sizes = torch.zeros(12, dtype=torch.float64), torch.linspace(0.2, 2, 12, dtype=torch.float64)
    for t in (torch.ones_like(sizes), sizes):
        e = radius * t * t * b / (t * b).norm()
        assert rise(loss, gradient, at, t, radius, 1) == pytest.approx((e @ a @ e / 2 + b @ e).item(), rel=1e-12)
        wanted = largest_rise(torch.diag(t) @ a @ torch.diag(t), t * b, radius)
        assert wanted * 0.995 < rise(loss, gradient, at, t, radius, 20) <= wanted * (1 + 1e-9)


def test_of_a_linear_loss_every_number_of_steps_gives_radius_times_gradient_and_at_a_flat_place_nothing_rises():
    b = torch.linspace(-1, 2, 7, dtype=torch.float64)
    at = torch.zeros(7, dtype=torch.float64)
    for steps in (1, 20):
        found = rise(lambda w: (b @ w).item(), lambda w: b, at, torch.ones_like(b), 0.3, steps)
        assert found == pytest.approx(0.3 * b.norm().item())
        assert rise(lambda w: 1.0, lambda w: 0 * b, at, torch.ones_like(b), 0.3, steps) == 0


@pytest.mark.parametrize("beyond", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_in_the_ball_is_an_infinite_rise(beyond):
    at = torch.zeros(3, dtype=torch.float64)
    for steps in (1, 20):
        assert rise(lambda w: beyond if w.any() else 1.0, torch.ones_like, at, torch.ones_like(at), 0.3, steps) == math.inf


def rescaled(lab, blobs, tuned):
    """A ReLU network, and the same function with its layers scaled by 4 and 1/4."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3, bias=False), nn.ReLU(), nn.Flatten())
    one = Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), encoder, nn.Linear(12, 4)).requires_grad_(False)
    other = copy.deepcopy(one)
    for part in (other.encoder[0].weight, other.encoder[0].bias):
        part *= 4
    other.encoder[2].weight /= 4
    data = blobs().held_out("confirm")
    return data, [lab.put(tuned(data, seed), net) for seed, net in enumerate((one, other))]


@pytest.mark.parametrize("scale", ["weight", "filter"])
def test_adaptive_sharpness_does_not_see_a_rescaling_that_leaves_the_function_alone(lab, blobs, tuned, scale):
    data, stages = rescaled(lab, blobs, tuned)
    found = []
    for stage in stages:
        found.append(lab.run(Sharpness(stage, on=data, steps=5, directions=3, scale=scale))[0])
        for file in lab.workspace.folder.iterdir():
            file.unlink()
    one, other = found
    assert one["adaptive"] == pytest.approx(other["adaptive"], rel=1e-3)
    assert one["adaptive_1"] == pytest.approx(other["adaptive_1"], rel=1e-3)
    assert one["average"] == pytest.approx(other["average"], rel=1e-3)
    assert one["sam"] != pytest.approx(other["sam"], rel=0.05)
    assert next(iter(one)) == "adaptive"
    assert one["adaptive"] > one["sam"] > 0


def test_a_measure_that_is_stopped_after_every_part_ends_with_the_same_numbers(lab, blobs, tuned):
    data, (stage, _) = rescaled(lab, blobs, tuned)
    measure = Sharpness(stage, on=data, samples=12, steps=3, directions=4)
    results, _ = lab.run(measure)
    for file in lab.workspace.folder.iterdir():
        file.unlink()
    assert lab.stopped(measure)[0] == results
    assert results["average_se"] > 0
    assert np.isfinite(list(results.values())).all()


def test_bad_fields_are_refused(blobs, tuned, spoiled):
    stage, data = tuned(blobs()), blobs()
    bad = {"rho": 0.0, "adaptive_rho": -1.0, "sigma": float("nan"), "steps": 0, "directions": 1, "samples": 0, "seed": -1}
    for field, value in bad.items():
        with pytest.raises(UserError, match=rf"Sharpness\.{field} = "):
            Sharpness(stage, on=data, **{field: value})
    with pytest.raises(UserError, match=r"Sharpness\.scale = 'layer'"):
        spoiled(Sharpness(stage, on=data), "scale", "layer")
