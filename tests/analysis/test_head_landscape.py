"""The landscape of a classifier alone against that of the network in which nothing else moves."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from analysis import HeadLandscape, Landscape, ModeConnectivity, RadiusFlatness
from analysis.geometry import segment, surface
from analysis.geometry.directions import filter_normalised
from analysis.geometry.head_landscape import affine_surface
from analysis.geometry.surface import Plane
from analysis.subset import stratified
from contrast import Digits, Finetune, MLPClassifier, SmallResNet, Untrained
from contrast.component import UserError
from contrast.model import Net

CEILING = 2.0


def test_the_surface_of_a_classifier_is_that_of_the_network_in_which_only_it_moves(lab, blobs, tuned, conv_net):
    data = blobs(per_class=10).whole
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    results, arrays = lab.run(HeadLandscape(stage, on=data, points=7, span=12.0, ceiling=CEILING))
    u, v = ({"top.weight": filter_normalised(conv_net.top, 0, index)["weight"]} for index in (0, 1))
    plane = Plane(conv_net, u, v, *lab.workspace.pixels(data))
    full = np.array([[plane.loss(a, b) for b in arrays["alphas"]] for a in arrays["alphas"]])
    assert np.allclose(arrays["surface"], np.minimum(full, CEILING), rtol=1e-6)
    assert np.array_equal(arrays["clipped"], full > CEILING)
    assert 0 < arrays["clipped"].mean() < 1
    assert next(iter(results)) == "flatness"
    assert results["loss_at_centre"] == arrays["surface"][3, 3]


def test_several_planes_and_a_subset_are_means_and_prefixes(lab, blobs, tuned, linear_net):
    data = blobs().whole
    stage = lab.put(tuned(data), linear_net.requires_grad_(False))
    several, arrays = lab.run(HeadLandscape(stage, on=data, points=5, pairs=2, samples=20))
    assert {"flatness_se", "radius_rise_1_se"} < several.keys()
    x, y = lab.workspace.pixels(data, stratified(lab.workspace.images(data).labels, 20))
    surfaces = []
    for pair in (0, 1):
        u, v = (filter_normalised(linear_net, 0, 2 * pair + index) for index in (0, 1))
        plane = Plane(linear_net, u, v, x, y)
        surfaces.append([[min(4.0, plane.loss(a, b)) for b in arrays["alphas"]] for a in arrays["alphas"]])
    assert np.allclose(arrays["surface"], np.mean(surfaces, axis=0), rtol=1e-5)


def test_losses_of_large_and_of_infinite_logits_are_exact():
    torch.manual_seed(0)
    centre, first, second = 300 * torch.randn(3, 40, 5, dtype=torch.float64)
    y, alphas = torch.arange(40) % 5, np.linspace(-1, 1, 5)
    surface = affine_surface(centre, first, second, y, alphas)
    for i, a in enumerate(alphas):
        for j, b in enumerate(alphas):
            assert surface[i, j] == pytest.approx(cross_entropy(centre + a * first + b * second, y).item(), rel=1e-12)
    centre[3, 2] = torch.inf
    assert not np.isfinite(affine_surface(centre, first, second, y, alphas)).any()


@pytest.mark.parametrize("spoil", ["not finite", "probabilities"])
def test_outputs_that_are_not_finite_or_probabilities_are_refused_by_every_measure_of_weights(lab, blobs, tuned, linear_net, spoil):
    data, net = blobs().held_out("confirm"), linear_net.requires_grad_(False)
    if spoil == "not finite":
        net.top.bias[0] = torch.inf
    else:
        net.encoder = nn.Sequential(net.encoder, nn.Linear(108, 4), nn.Softmax(dim=1)).requires_grad_(False)
        net.top = nn.Linear(4, 4, bias=False).requires_grad_(False)
        net.top.weight.copy_(torch.eye(4))
    one, other = (lab.put(tuned(data, seed), net) for seed in (0, 1))
    measures = [measure(one, on=data, points=3) for measure in (HeadLandscape, Landscape, RadiusFlatness)]
    for measure in (*measures, ModeConnectivity((one, other), on=data)):
        with pytest.raises(UserError, match=spoil):
            lab.run(measure)


@pytest.mark.parametrize("size", [3, 7])
def test_the_batch_split_changes_no_measure_of_weights(lab, blobs, tuned, conv_net, monkeypatch, size):
    data = blobs().held_out("confirm")
    one, other = (lab.put(tuned(data, seed), conv_net.requires_grad_(False)) for seed in (0, 1))
    several = ModeConnectivity((one, other), on=data, points=3)
    measures = [Landscape(one, on=data, points=3), RadiusFlatness(one, on=data, points=3, directions=2), several]
    wanted = [lab.run(measure) for measure in measures]
    for module in (surface, segment):
        monkeypatch.setattr(module, "_BATCH", {"cpu": size})
    for measure, (results, arrays) in zip(measures, wanted, strict=True):
        again, kept = lab.run(measure)
        assert again == pytest.approx(results, rel=1e-5, abs=1e-6)
        assert all(np.allclose(kept[name], arrays[name], rtol=1e-5, atol=1e-6) for name in arrays)


def test_a_classifier_that_is_not_linear_is_refused(lab, blobs, tuned):
    data = blobs().held_out("confirm")
    net = Net(data.mean, data.std, nn.Flatten(), nn.Sequential(nn.Linear(108, 8), nn.ReLU(), nn.Linear(8, 4)))
    with pytest.raises(UserError, match=r"HeadLandscape.of = .*must end in a linear classifier.*Measure a Landscape"):
        lab.run(HeadLandscape(lab.put(tuned(data), net.requires_grad_(False)), on=data, points=3))
    encoder = Untrained(data=Digits(), encoder=SmallResNet(), seed=0)
    with pytest.raises(UserError, match="must end in a linear classifier"):
        HeadLandscape(Finetune(encoder, data=Digits(), seed=0, head=MLPClassifier()), on=Digits())
