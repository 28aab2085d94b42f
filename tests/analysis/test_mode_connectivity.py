"""Barriers between networks: known ones, and statistics that are taken anew and nowhere left behind."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from analysis import ModeConnectivity
from analysis.geometry.segment import Segment, barrier, loss_and_accuracy
from analysis.subset import stratified
from contrast.component import UserError
from contrast.model import Net


@pytest.fixture
def trio(conv_net):
    """Three networks of one architecture: one, another, and the first with its filters in another order."""
    first, second = conv_net.eval().requires_grad_(False), copy.deepcopy(conv_net)
    torch.manual_seed(9)
    for parameter in second.parameters():
        parameter += 0.5 * parameter.std() * torch.randn_like(parameter)
    third, order = copy.deepcopy(first), torch.randperm(8)
    for name in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        tensor = third.encoder.state_dict()[name]
        tensor.copy_(tensor[order].clone())
    third.encoder[3].weight.copy_(third.encoder[3].weight[:, order].clone())
    return first, second, third


def test_barriers_of_known_curves():
    alphas = np.linspace(0, 1, 11)
    line, bump, valley = 3 - alphas, 3 - alphas + alphas * (1 - alphas), 3 - alphas - alphas * (1 - alphas)
    assert barrier(np.stack([line, bump, valley]), alphas) == pytest.approx([0, 0.25, 0])
    assert barrier(np.where(alphas == 0.5, np.inf, 1.0)[None], alphas) == np.inf
    assert np.isnan(barrier(np.where(alphas == 0, np.inf, 1.0)[None], alphas))


def test_the_ends_are_the_networks_themselves_and_the_middle_has_their_mean_weights(trio, blobs):
    first, second, _ = trio
    images = blobs().held_out("confirm").load(None)
    x, y = torch.from_numpy(images.pixels).float() / 255, torch.from_numpy(images.labels)
    segment = Segment(first, second)
    for a, end in ((0.0, first), (1.0, second), (0.0, first)):
        assert torch.equal(segment.at(a)(x), end.to(memory_format=torch.channels_last)(x))
        loss, accuracy = loss_and_accuracy(segment.net, x, y)
        assert loss == pytest.approx(cross_entropy(end(x).double(), y).item())
        assert accuracy == pytest.approx(100 * (end(x).argmax(1) == y).double().mean().item())
    means = {name: (w + second.state_dict()[name]) / 2 for name, w in first.state_dict().items() if w.is_floating_point()}
    found = segment.at(0.5).state_dict()
    assert all(torch.allclose(found[name], mean) for name, mean in means.items())


def test_statistics_taken_anew_are_those_of_the_pixels_whatever_was_there_before(trio):
    first, second, _ = trio
    before = copy.deepcopy(first.state_dict())
    torch.manual_seed(0)
    x, other = torch.rand(2, 200, 3, 6, 6)
    segment = Segment(first, second)
    segment.at(0.3)
    net = segment.renormalised(x)
    assert not net.training
    norm, inputs = net.encoder[1], net.encoder[0]((x - net.mean) / net.std)
    assert torch.allclose(norm.running_mean, inputs.mean((0, 2, 3)), atol=1e-5)
    halves = torch.stack([half.var((0, 2, 3)) for half in inputs.chunk(2)]).mean(0)
    assert torch.allclose(norm.running_var, halves, rtol=1e-4)
    wanted = copy.deepcopy(net.state_dict())
    segment.at(0.8)
    segment.renormalised(other)
    segment.at(0.3)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in segment.renormalised(x).state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in first.state_dict().items())
    assert net.encoder[1].momentum == first.encoder[1].momentum


def test_a_convex_loss_has_no_barrier_and_filters_in_another_order_have_one(lab, blobs, tuned, trio):
    data = blobs().held_out("confirm")
    x, y = lab.workspace.pixels(data)
    wanted = 5 * nn.functional.one_hot(y, 4).double()
    for net in (trio[0], trio[2]):  # the optimal classifier of either is the same in another order
        net.top.weight.copy_((torch.linalg.pinv(net.features(x).double()) @ wanted).T)
        net.top.bias.zero_()
    deep = tuple(lab.put(tuned(data, seed), net) for seed, net in enumerate((trio[0], trio[2])))
    results, arrays = lab.run(ModeConnectivity(deep, on=data, points=5))
    assert arrays["loss_raw"][0, 0] == pytest.approx(arrays["loss_raw"][0, -1], rel=1e-3)  # the same function
    assert results["barrier"] > 0.1
    assert results["barrier_raw"] > 0.1
    assert results["accuracy_barrier"] == pytest.approx(barrier(-arrays["accuracy"], arrays["alphas"]).item())
    flat = [Net(data.mean, data.std, nn.Flatten(), nn.Linear(108, 4)).requires_grad_(False) for _ in range(2)]
    linear = tuple(lab.put(tuned(data, seed, "linear"), net) for seed, net in enumerate(flat))
    results, arrays = lab.run(ModeConnectivity(linear, on=data, points=5))
    assert results["barrier"] == pytest.approx(0, abs=1e-6)
    assert np.array_equal(arrays["loss"], arrays["loss_raw"])  # without normalisation there is nothing to take anew


def test_all_pairs_are_measured_and_a_stopped_measure_goes_on(lab, blobs, tuned, trio):
    data = blobs().held_out("confirm")
    stages = tuple(lab.put(tuned(data, seed), net) for seed, net in enumerate(trio))
    measure = ModeConnectivity(stages, on=data, points=3, samples=12, norms_from=blobs().whole, norm_samples=40)
    results, arrays = lab.run(measure)
    pairs = list(zip(arrays["first"], arrays["second"], strict=True))
    assert pairs == [(0, 1), (0, 2), (1, 2)]
    x, y = lab.workspace.pixels(data, stratified(lab.workspace.images(data).labels, 12))
    norm_x, _ = lab.workspace.pixels(blobs().whole, stratified(lab.workspace.images(blobs().whole).labels, 40))
    for (i, j), loss, raw in zip(pairs, arrays["loss"], arrays["loss_raw"], strict=True):
        segment = Segment(trio[i], trio[j])
        for a, one, other in zip((0.0, 0.5, 1.0), loss, raw, strict=True):
            assert loss_and_accuracy(segment.at(a), x, y)[0] == other
            assert loss_and_accuracy(segment.renormalised(norm_x), x, y)[0] == one
    assert results["barrier"] == pytest.approx(barrier(arrays["loss"], arrays["alphas"]).mean())
    again, kept = lab.stopped(measure)
    assert again == results
    assert all(arrays[name].tobytes() == kept[name].tobytes() for name in arrays)


def test_networks_that_cannot_be_averaged_and_bad_fields_are_refused(lab, blobs, tuned, conv_net, linear_net):
    data = blobs().held_out("confirm")
    one, other = (lab.put(tuned(data, seed), net) for seed, net in enumerate((conv_net, linear_net)))
    with pytest.raises(UserError, match=r"ModeConnectivity\.of = .*must be networks of one architecture"):
        lab.run(ModeConnectivity((one, other), on=data))
    for of in (one, (one,), (one, one)):
        with pytest.raises(UserError, match=r"ModeConnectivity\.of = .*a tuple of two stages or more, each once"):
            ModeConnectivity(of, on=data)
    for field, value in (("points", 2), ("samples", 0), ("norm_samples", 1)):
        with pytest.raises(UserError, match=rf"ModeConnectivity\.{field} = "):
            ModeConnectivity((one, other), on=data, **{field: value})
