"""Loss surfaces against closed forms (paraboloid, affine logits, scale symmetry) and against the network unfolded."""

from math import inf

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from analysis import Landscape
from analysis.geometry.directions import cosine, filter_normalised
from analysis.geometry.grid import loss_on_rings, refined
from analysis.geometry.surface import Plane
from analysis.subset import stratified
from contrast.component import UserError
from contrast.encoders import SmallResNet
from contrast.model import Net
from contrast.random import generator


def restless(net):
    """Gives every batch normalisation statistics and parameters that are not the initial ones."""
    torch.manual_seed(3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return net.eval().requires_grad_(False)


@pytest.fixture
def resnet():
    torch.manual_seed(0)
    encoder = SmallResNet(base_width=4, blocks=2).build(3, generator(0, "encoder"))
    return restless(Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), encoder, nn.Linear(16, 4)))


@pytest.fixture
def batch():
    draws = torch.Generator().manual_seed(0)
    return torch.rand(150, 3, 8, 8, generator=draws), torch.randint(0, 4, (150,), generator=draws)


def directions(net, seed=0):
    return filter_normalised(net, seed, 0), filter_normalised(net, seed, 1)


def moved(net, x, u, v, a, b):
    """Logits of the unfolded network with the weights of the point (a, b)."""
    weights = {name: w + a * u[name] + b * v[name] for name, w in net.named_parameters()}
    return functional_call(net, weights, (x,))


# Directions


def test_every_filter_of_a_direction_is_as_long_as_the_networks_and_one_axis_tensors_stand_still(resnet):
    for direction in directions(resnet):
        for name, weight in resnet.named_parameters():
            if weight.dim() == 1:
                assert not direction[name].any()
            else:
                lengths, expected = (tensor.flatten(1).norm(dim=1) for tensor in (direction[name], weight))
                assert torch.allclose(lengths, expected, rtol=1e-5)
                assert (expected > 0).all()


def test_directions_come_from_their_seed_and_the_shapes_alone(resnet):
    u, v = directions(resnet)
    torch.manual_seed(99)
    twice = filter_normalised(resnet, 0, 0)
    assert all(torch.equal(u[name], twice[name]) for name in u)
    other = restless(Net((0.5,), (0.2,), SmallResNet(4, 2).build(3, generator(7, "encoder")), nn.Linear(16, 4)))
    theirs = filter_normalised(other, 0, 0)
    for name, weight in resnet.named_parameters():
        if weight.dim() > 1:  # the same raw draw behind other filter lengths
            for mine, your in zip(u[name].flatten(1), theirs[name].flatten(1), strict=True):
                assert torch.nn.functional.cosine_similarity(mine, your, dim=0) == pytest.approx(1, abs=1e-5)
    assert abs(cosine(u, v)) < 0.1
    assert cosine(u, u) == pytest.approx(1)
    assert not any(torch.equal(u[name], filter_normalised(resnet, 1, 0)[name]) for name in u if u[name].any())


def test_a_filter_of_zeros_gives_no_direction_and_no_nan():
    net = nn.Linear(5, 3)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    for direction in filter_normalised(net, 0, 0).values():
        assert (direction == 0).all()
    assert cosine(*directions(net)) == 0


# Surfaces


def test_every_point_equals_the_unfolded_network_with_moved_weights(resnet, batch):
    x, y = batch
    u, v = directions(resnet)
    plane = Plane(resnet, u, v, x, y)
    for a, b in ((0.0, 0.0), (0.3, -0.2), (-1.0, 0.7), (0.0, 0.0)):
        expected = cross_entropy(moved(resnet, x, u, v, a, b), y).item()
        assert plane.loss(a, b) == pytest.approx(expected, rel=1e-5)
    assert plane.loss(0.0, 0.0) == pytest.approx(cross_entropy(resnet(x), y).item(), rel=1e-5)


def test_the_centre_does_not_drift_over_many_points(resnet, batch):
    plane = Plane(resnet, *directions(resnet), *batch)
    before = plane.loss(0.0, 0.0)
    for a in np.linspace(-1, 1, 9):
        plane.loss(a, -a)
    assert plane.loss(0.0, 0.0) == before


def test_a_linear_model_under_squared_error_has_an_exact_paraboloid(batch):
    x, _ = batch
    torch.manual_seed(0)
    net = Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), nn.Flatten(), nn.Linear(192, 1)).requires_grad_(False)
    target = torch.randn(150, dtype=torch.float64)
    u, v = directions(net)
    plane = Plane(net, u, v, x, target, criterion=lambda z, t: (z[:, 0] - t).square().sum())
    rows = ((x - net.mean) / net.std).flatten(1).double()
    rest = rows @ net.top.weight[0].double() + net.top.bias.double() - target
    first, second = rows @ u["top.weight"][0].double(), rows @ v["top.weight"][0].double()
    for a in (-1.0, -0.4, 0.0, 0.9):
        for b in (-0.7, 0.0, 1.0):
            closed = (rest @ rest + a**2 * first @ first + b**2 * second @ second) / 150
            closed += 2 * (a * rest @ first + b * rest @ second + a * b * first @ second) / 150
            assert plane.loss(a, b) == pytest.approx(closed.item(), rel=1e-5)


def test_a_linear_classifier_has_affine_logits(linear_net, lab, blobs):
    x, y = lab.workspace.pixels(blobs().held_out("confirm"))
    net = linear_net.requires_grad_(False)
    u, v = directions(net)
    h = net.features(x).double()
    z = [h @ part["top.weight"].double().T for part in ({"top.weight": net.top.weight}, u, v)]
    plane = Plane(net, u, v, x, y)
    for a, b in ((0.0, 0.0), (1.0, -0.5), (-0.3, 0.8)):
        logits = z[0] + a * z[1] + b * z[2] + net.top.bias.double()
        assert plane.loss(a, b) == pytest.approx(cross_entropy(logits, y).item(), rel=1e-6)


def test_scale_moved_from_one_layer_to_the_next_leaves_the_picture_of_a_relu_network(batch):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3, bias=False), nn.ReLU(), nn.Flatten())
    net = Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), encoder, nn.Linear(80, 4)).requires_grad_(False)
    other = Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), encoder, net.top)
    other.load_state_dict(net.state_dict())
    points = [(a, b) for a in (-0.8, 0.0, 0.5) for b in (-0.5, 1.0)]
    plane = Plane(net, *directions(net), *batch)
    before = [plane.loss(a, b) for a, b in points]
    encoder[0].weight *= 7.0
    encoder[0].bias *= 7.0
    encoder[2].weight /= 7.0
    plane = Plane(other, *directions(other), *batch)
    assert [plane.loss(a, b) for a, b in points] == pytest.approx(before, rel=1e-4)


def test_a_point_is_given_up_exactly_when_it_lies_above_the_ceiling(resnet, batch):
    plane = Plane(resnet, *directions(resnet), *batch)
    points = [(a, b) for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0)]
    full = [plane.loss(a, b) for a, b in points]
    ceiling = float(np.median(full)) + 1e-6
    cut = [plane.loss(a, b, ceiling) for a, b in points]
    assert cut == [loss if loss <= ceiling else inf for loss in full]
    assert 2 < sum(loss == inf for loss in cut) < 7


def test_the_centre_equals_the_loss_in_evaluation_to_the_last_bit_where_nothing_is_folded(batch):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten())
    net = restless(Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), encoder, nn.Linear(216, 4))).to(memory_format=torch.channels_last)
    x, y = batch
    plane = Plane(net, *directions(net), x, y)
    plane.loss(0.7, -0.2)
    x = x.contiguous(memory_format=torch.channels_last)
    parts = zip(x.split(plane.batch), y.split(plane.batch), strict=True)
    assert plane.loss(0.0, 0.0) == sum(cross_entropy(net(a).double(), b, reduction="sum").item() for a, b in parts) / len(x)


def test_the_order_of_the_samples_leaves_no_trace_in_a_loss_and_may_prove_a_ceiling_sooner(resnet, batch):
    plane = Plane(resnet, *directions(resnet), *batch)
    seen, logits = [], plane.logits
    plane.logits = lambda x: seen.append(len(x)) or logits(x)
    for a, b in ((0.0, 0.0), (0.4, -0.9)):
        loss = plane.loss(a, b)
        hard = cross_entropy(plane.outputs(a, b), batch[1], reduction="none").argsort(descending=True)
        assert loss == plane.mean(plane.outputs(a, b)) == plane.loss(a, b, 1.01 * loss, hard) == plane.loss(a, b, 1.01 * loss, hard.flip(0))
        counts = []
        for order in (hard, hard.flip(0)):
            seen.clear()
            assert plane.loss(a, b, 0.6 * loss, order) == inf
            counts.append(sum(seen))
        assert counts[0] < counts[1]


def test_a_line_is_the_plane_along_its_first_direction(resnet, batch):
    u, v = directions(resnet)
    plane, line = Plane(resnet, u, v, *batch), Plane(resnet, u, None, *batch)
    assert line.loss(0.3, 0.0) == plane.loss(0.3, 0.0)


def test_bfloat16_is_near_and_has_the_same_centre_weights(resnet, batch):
    u, v = directions(resnet)
    exact, rough = Plane(resnet, u, v, *batch), Plane(resnet, u, v, *batch, torch.bfloat16)
    for a, b in ((0.0, 0.0), (0.5, 0.5), (-0.5, 0.3)):
        assert rough.loss(a, b) == pytest.approx(exact.loss(a, b), rel=2e-2)


# The measure


def test_landscape_measure_keeps_a_surface_and_its_scalars(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    results, arrays = lab.run(Landscape(stage, on=data, points=5, ceiling=2.5))
    x, y = lab.workspace.pixels(data)
    u, v = directions(conv_net)
    surface, clipped, alphas = arrays["surface"], arrays["clipped"], arrays["alphas"]
    assert surface.shape == clipped.shape == (5, 5)
    for i, a in enumerate(alphas):
        for j, b in enumerate(alphas):
            expected = cross_entropy(moved(conv_net, x, u, v, a, b), y).item()
            assert clipped[i, j] == (expected > 2.5)
            assert surface[i, j] == pytest.approx(min(expected, 2.5), rel=1e-5)
    assert next(iter(results)) == "flatness"
    assert results["loss_at_centre"] == pytest.approx(cross_entropy(conv_net(x), y).item(), rel=1e-5)
    assert results["loss_at_centre"] == surface[2, 2]
    ring = loss_on_rings(surface, alphas, np.array([0.5]))
    assert results["flatness"] == pytest.approx(ring.mean() - surface[2, 2])
    assert results["flatness"] > 0
    assert results["cosine"] == pytest.approx(cosine(u, v))
    assert results["clipped_share"] == clipped.mean()
    assert 0 < results["radius_rise_1"] <= 1


def test_landscape_of_a_subset_is_the_landscape_of_its_images(lab, blobs, tuned, conv_net):
    data, small = blobs().held_out("confirm"), blobs(per_class=3).held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    subset, _ = lab.run(Landscape(stage, on=data, points=3, samples=12))
    assert subset == pytest.approx(lab.run(Landscape(stage, on=small, points=3))[0], rel=1e-5)


def test_a_landscape_is_that_of_its_points_one_by_one_and_the_same_bytes_if_it_is_stopped_in_between(lab, blobs, tuned, resnet):
    data = blobs(per_class=20).whole
    stage = lab.put(tuned(data), resnet)
    for measure in (Landscape(stage, on=data, points=11), Landscape(stage, on=data, points=5, pairs=2)):
        results, arrays = lab.run(measure)
        again, kept = lab.stopped(measure)
        assert results == again
        assert all(arrays[name].tobytes() == kept[name].tobytes() for name in arrays)
        if not measure.pairs:
            plane = Plane(resnet, *directions(resnet), *lab.workspace.pixels(data, stratified(lab.workspace.images(data).labels, None)))
            losses = np.array([[plane.loss(a, b, 4.0) for b in arrays["alphas"]] for a in arrays["alphas"]])
            assert np.array_equal(arrays["surface"], np.where(losses <= 4, losses, 4.0))
            assert np.array_equal(arrays["clipped"], losses > 4)
    assert 0 < arrays["clipped"].mean() < 1


def test_after_the_first_part_there_is_a_picture_of_nine_points(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    measure = Landscape(stage, on=data, points=9)
    running = measure.run(lab.workspace)
    next(running)
    so_far = lab.workspace.so_far().arrays()
    _, arrays = lab.run(measure)
    measured = ~np.isnan(so_far["surface"])
    assert np.array_equal(np.argwhere(measured), [[i, j] for i in (0, 4, 8) for j in (0, 4, 8)])
    assert np.array_equal(so_far["surface"][measured], arrays["surface"][measured])
    assert np.array_equal(refined(so_far["surface"])[::4, ::4], arrays["surface"][::4, ::4])
    assert measure.length == 4  # 9, 16, and 56 points in two


def test_a_landscape_of_several_planes_is_the_mean_over_planes_with_its_error(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    results, arrays = lab.run(Landscape(stage, on=data, points=5, pairs=3, ceiling=2.5))
    x, y = lab.workspace.pixels(data)
    surfaces = []
    for pair in range(3):
        plane = Plane(conv_net, *(filter_normalised(conv_net, 0, 2 * pair + i) for i in (0, 1)), x, y)
        surfaces.append([[min(plane.loss(a, b), 2.5) for b in arrays["alphas"]] for a in arrays["alphas"]])
    assert arrays["surface"] == pytest.approx(np.mean(surfaces, axis=0))
    assert arrays["spread"] == pytest.approx(np.std(surfaces, axis=0, ddof=1))
    assert np.array_equal(arrays["clipped"], (np.array(surfaces) == 2.5).any(axis=0))
    flatness = [loss_on_rings(np.array(one), arrays["alphas"], np.array([0.5])).mean() - results["loss_at_centre"] for one in surfaces]
    assert results["flatness"] == pytest.approx(np.mean(flatness))
    assert results["flatness_se"] == pytest.approx(np.std(flatness, ddof=1) / 3**0.5)
    first, plain = lab.run(Landscape(stage, on=data, points=5, ceiling=2.5))
    assert first["flatness"] == pytest.approx(flatness[0])
    assert "flatness_se" not in first
    assert "spread" not in plain


def test_outputs_that_are_not_finite_are_above_every_ceiling(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    with torch.no_grad():  # finite in the middle, and not far from it
        conv_net.encoder[4].weight *= 1e22
        conv_net.encoder[4].bias *= 1e22
        conv_net.top.weight *= 2e38 / conv_net.eval()(lab.workspace.pixels(data)[0]).abs().max()
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    for points in (5, 13):
        results, arrays = lab.run(Landscape(stage, on=data, points=points))
        assert arrays["clipped"].all()
        assert (arrays["surface"] == 4).all()
        assert np.isnan(results["flatness"])


def test_landscape_runs_alone_and_refuses_bad_fields(lab, blobs, tuned, conv_net, spoiled):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    assert Landscape.alone
    for fields, field in (
        ({"points": 4}, "points"),
        ({"points": 1}, "points"),
        ({"span": 0.4}, "span"),
        ({"samples": 0}, "samples"),
        ({"ceiling": 0.0}, "ceiling"),
        ({"pairs": 1}, "pairs"),
    ):
        with pytest.raises(UserError, match=rf"Landscape\.{field} = "):
            Landscape(stage, on=data, **fields)
    with pytest.raises(UserError, match=r"Landscape\.precision = 'fp16'"):
        spoiled(Landscape(stage, on=data), "precision", "fp16")


def test_of_a_solution_above_the_ceiling_nothing_is_claimed(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    results, _ = lab.run(Landscape(stage, on=data, points=3, ceiling=0.1))
    assert np.isnan([results["flatness"], results["radius_rise_1"]]).all()
    assert results["loss_at_centre"] > 0.1
    assert results["clipped_share"] == 1
