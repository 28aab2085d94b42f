"""Radii of rising losses against closed forms, and profiles against the network itself."""

from math import sqrt

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from analysis import ModeConnectivity, RadiusFlatness
from analysis.geometry.directions import filter_normalised
from analysis.geometry.grid import grid
from analysis.geometry.radius_flatness import RISES, crossing, loss_and_error, rises
from analysis.geometry.surface import Plane
from contrast.component import UserError
from contrast.model import Net


def test_radii_of_a_linear_model_under_squared_error_are_the_roots_of_its_parabola():
    torch.manual_seed(0)
    x, target = torch.rand(90, 3, 4, 4), torch.randn(90, dtype=torch.float64)
    net = Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), nn.Flatten(), nn.Linear(48, 1)).requires_grad_(False)
    u = filter_normalised(net, 0, 0)
    line = Plane(net, u, None, x, target, criterion=lambda z, t: (z[:, 0] - t).square().sum())
    inputs = ((x - net.mean) / net.std).flatten(1).double()
    rest, slope = net(x)[:, 0].double() - target, inputs @ u["top.weight"][0].double()
    b, c = (rest @ slope / 90).item(), (slope @ slope / 90).item()  # L(r) - L(0) = 2 b r + c r^2
    alphas = grid(81, 4.0)
    found = rises(line, alphas, np.array([line.loss(a, 0.0) for a in alphas]))
    for sign, side in zip((1, -1), found, strict=True):
        wanted = [(-sign * b + sqrt(b**2 + c * rise)) / c for rise in RISES]
        assert side == pytest.approx(wanted, abs=1e-3)


def test_a_crossing_is_the_first_one_and_the_last_radius_where_there_is_none():
    radii = np.linspace(0, 1, 11)

    def wave(r):
        return 1 + np.sin(10 * r)

    first = crossing(lambda r, level: wave(r) > level, radii, wave(radii), 1.5)
    assert first == pytest.approx(np.arcsin(0.5) / 10, abs=0.1 / 2**8)
    assert crossing(lambda r, level: wave(r) > level, radii, wave(radii), 3.0) == 1
    broken = np.where(radii > 0.55, np.nan, 0.0)
    assert crossing(lambda r, level: r > 0.55, radii, broken, 1.0) == pytest.approx(0.55, abs=0.1 / 2**8)


def test_profiles_are_the_losses_and_errors_of_moved_networks_and_radii_have_their_error(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    measure = RadiusFlatness(stage, on=data, directions=3, points=5, span=1.5)
    results, arrays = lab.run(measure)
    x, y = lab.workspace.pixels(data)
    for k in range(3):
        u = filter_normalised(conv_net, 0, k)
        for i, a in enumerate(arrays["alphas"]):
            logits = functional_call(conv_net, {name: w + a * u[name] for name, w in conv_net.named_parameters()}, (x,))
            assert arrays["loss"][k, i] == pytest.approx(cross_entropy(logits, y).item(), rel=1e-5)
            assert arrays["error"][k, i] == pytest.approx(100 * (logits.argmax(1) != y).double().mean().item())
    assert next(iter(results)) == "radius_rise_1"
    for column, name in zip(arrays["radii"].T, ("radius_rise_1", "radius_rise_0.1"), strict=True):
        assert results[name] == pytest.approx(column.mean())
        assert results[f"{name}_se"] == pytest.approx(column.std(ddof=1) / sqrt(3))
    assert 0 < results["radius_rise_0.1"] < results["radius_rise_1"] <= 1.5
    assert results["loss_at_centre"] == arrays["loss"][0, 2] == arrays["loss"][2, 2]
    again, kept = lab.stopped(measure)
    assert again == results
    assert all(arrays[name].tobytes() == kept[name].tobytes() for name in arrays)


def test_a_flat_network_is_censored_and_outputs_that_are_not_finite_are_errors(lab, blobs, tuned, linear_net):
    data = blobs().held_out("confirm")
    with torch.no_grad():
        linear_net.top.weight.zero_()  # filters of zeros: no direction leads anywhere
    stage = lab.put(tuned(data), linear_net.requires_grad_(False))
    results, _ = lab.run(RadiusFlatness(stage, on=data, directions=2, points=3, span=0.5))
    assert results["radius_rise_1"] == 0.5
    assert results["radius_rise_1_se"] == 0
    assert results["censored_share"] == 1
    with torch.no_grad():
        linear_net.top.bias[0] = torch.inf
    line = Plane(linear_net, filter_normalised(linear_net, 0, 0), None, *lab.workspace.pixels(data))
    assert loss_and_error(line, 0.0) == (np.inf, 100)


class Odd(nn.Module):
    """A classifier whose logits are infinite for one image."""

    def __init__(self, features):
        super().__init__()
        self.linear, self.at = nn.Linear(108, 4), features.sum()

    def forward(self, h):
        return torch.where((h.sum(1, keepdim=True) - self.at).abs() < 1e-3, torch.inf, self.linear(h))


@pytest.mark.parametrize(
    "measure", [RadiusFlatness, lambda stage, on: ModeConnectivity((stage[0], stage[1]), on=on)], ids=["radius", "mode"]
)
def test_one_image_of_many_whose_logits_are_not_finite_is_refused(lab, blobs, tuned, linear_net, measure):
    data = blobs()
    pixels, _ = lab.workspace.pixels(data)
    net = Net(blobs.mean, blobs.std, nn.Flatten(), Odd(linear_net.features(pixels[[-1]]))).requires_grad_(False)
    stages = [lab.put(tuned(data, seed), net) for seed in (0, 1)]
    with pytest.raises(UserError, match="finite"):
        lab.run(measure(stages if measure is not RadiusFlatness else stages[0], on=data))


def test_radius_flatness_refuses_bad_fields(lab, blobs, tuned, linear_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), linear_net)
    assert RadiusFlatness.alone
    for field, value in (("directions", 1), ("points", 4), ("span", 0.0), ("samples", 0)):
        with pytest.raises(UserError, match=rf"RadiusFlatness\.{field} = "):
            RadiusFlatness(stage, on=data, **{field: value})
