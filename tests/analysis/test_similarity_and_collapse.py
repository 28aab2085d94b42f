"""CKA against ckatorch and the definition, neural collapse against simplices and the definition."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import CKA, NeuralCollapse
from analysis.representation.cka import linear_cka
from analysis.representation.collapse import by_class, cosines, duality, equinorm, nearest_mean, variability
from contrast.component import UserError
from contrast.data.dataset import Images
from contrast.heads import Classifier


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "d", "e"), [(40, 6, 9), (30, 50, 20), (4, 3, 3)])
def test_cka_equals_ckatorch_to_1e_5(n, d, e):
    from ckatorch.core import cka_base, cka_batch

    x = normal(n, d) + 2
    y = x @ normal(d, e, seed=1) + normal(n, e, seed=2)
    assert linear_cka(x, y, debiased=False) == pytest.approx(float(cka_base(x, y)), abs=1e-5)
    assert linear_cka(x, y, debiased=True) == pytest.approx(float(cka_batch(x[None], y[None])), abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(8, 40), st.integers(1, 12), st.integers(0, 1000), st.floats(1e-3, 1e3), st.booleans())
def test_cka_ignores_rotation_scale_shift_and_the_order_of_images(n, d, seed, scale, debiased):
    x = normal(n, d, seed=seed)
    y = x + normal(n, d, seed=seed + 1)
    turn, order = torch.linalg.qr(normal(d, d, seed=seed + 2))[0], torch.from_numpy(np.random.default_rng(seed).permutation(n))
    value = linear_cka(x, y, debiased=debiased)
    assert linear_cka(scale * x @ turn + 5, y, debiased=debiased) == pytest.approx(value, abs=1e-8)
    assert linear_cka(y[order], x[order], debiased=debiased) == pytest.approx(value, abs=1e-10)
    assert linear_cka(x, scale * x @ turn, debiased=debiased) == pytest.approx(1, abs=1e-8)


def test_without_bias_unrelated_representations_have_none_in_common():
    values = {
        debiased: [linear_cka(normal(100, 80, seed=2 * i), normal(100, 80, seed=2 * i + 1), debiased=debiased) for i in range(20)]
        for debiased in (False, True)
    }
    assert np.mean(values[False]) > 0.4
    assert np.mean(values[True]) == pytest.approx(0, abs=0.01)


def test_cka_of_constant_or_infinite_features_is_no_number():
    x = normal(20, 3)
    for y in (torch.full((20, 4), 0.1), torch.full((20, 4), math.inf)):
        assert math.isnan(linear_cka(x, y, debiased=False))
        assert math.isnan(linear_cka(y, x, debiased=True))
    beside = torch.cat([x, torch.full((20, 2), 0.1)], dim=1)
    assert linear_cka(beside, x, debiased=True) == pytest.approx(1)


def test_the_measure_takes_hsic_without_bias_below_ten_images_a_feature(lab, blobs, tuned, conv_net, linear_net):
    data = blobs()
    pair = lab.put(tuned(data), conv_net), lab.put(tuned(data, seed=1), linear_net)
    for part, few in (("test", True), ("whole", True)):
        on = replace(data, part=part)
        x, y = (net.features(lab.workspace.pixels(on)[0]).detach() for net in (conv_net, linear_net))
        assert lab.run(CKA(pair, on=on))[0] == {"cka": pytest.approx(linear_cka(x, y, debiased=few), abs=1e-5)}
    assert lab.run(CKA((pair[0], pair[0]), on=data))[0]["cka"] == pytest.approx(1)
    for bad in (pair[0], (*pair, pair[0])):
        with pytest.raises(UserError, match=r"CKA\.of = .*must be a tuple of two stages"):
            CKA(bad, on=data)
    with pytest.raises(UserError, match=r"CKA\.on = .*must have 4 images"):
        CKA(pair, on=data).check(lambda dataset: 3)


def simplex(classes, width, seed=0):
    """Corners of a simplex around the origin, turned into `width` dimensions."""
    corners = torch.eye(classes, dtype=torch.float64) - 1 / classes
    return corners @ torch.linalg.qr(normal(width, width, seed=seed))[0][:classes]


@pytest.mark.parametrize("classes", [2, 5])
def test_at_the_corners_of_a_simplex_all_is_collapsed(classes):
    corners, labels = simplex(classes, 12), torch.arange(classes).repeat(7)
    known = by_class(3 * corners[labels] + 1, labels)
    assert variability(known) == pytest.approx(0, abs=1e-12)
    assert equinorm(known) == pytest.approx(0, abs=1e-12)
    assert cosines(known) == pytest.approx(np.full(math.comb(classes, 2), -1 / (classes - 1)))
    assert duality(known, 0.2 * corners + 4) == pytest.approx(0, abs=1e-12)
    assert duality(known, -corners) == pytest.approx(4)
    assert torch.equal(nearest_mean(3 * corners[labels] + 1, known), labels)


def test_nc1_is_its_definition_and_grows_with_the_spread_squared():
    labels = torch.arange(4).repeat(10, 1).T.flatten()
    noise, means = normal(40, 6), normal(4, 6, seed=1)
    x = means[labels] + noise
    groups = x.view(4, 10, 6).numpy()
    within = np.mean([np.cov(group.T, ddof=0) for group in groups], axis=0)
    middle = groups.mean(axis=1) - groups.mean(axis=(0, 1))
    between = middle.T @ middle / 4
    assert variability(by_class(x, labels)) == pytest.approx(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 4, rel=1e-8)
    centred = noise - noise.view(4, 10, 6).mean(1)[labels]
    assert variability(by_class(means[labels] + 3 * centred, labels)) == pytest.approx(
        9 * variability(by_class(means[labels] + centred, labels))
    )
    lengths = np.linalg.norm(middle, axis=1)
    assert equinorm(by_class(x, labels)) == pytest.approx(lengths.std() / lengths.mean())


def test_a_class_counts_the_same_however_many_images_it_has_and_an_absent_one_not_at_all():
    x, labels = normal(30, 5) + 3 * torch.eye(5, dtype=torch.float64)[torch.arange(3).repeat(10)], torch.arange(3).repeat(10)
    twice = torch.cat([x, x[labels == 1]]), torch.cat([labels, labels[labels == 1]])
    absent = torch.where(labels == 2, 7, labels)
    for other in (by_class(*twice), by_class(x, absent)):
        assert variability(other) == pytest.approx(variability(by_class(x, labels)))
        assert cosines(other) == pytest.approx(cosines(by_class(x, labels)).numpy())
    assert by_class(x, absent).present.tolist() == [0, 1, 7]
    assert set(nearest_mean(x, by_class(x, absent)).tolist()) <= {0, 1, 7}


def test_class_means_that_are_one_point_have_no_collapse_to_measure():
    known = by_class(torch.full((20, 4), 0.1), torch.arange(2).repeat(10))
    assert math.isnan(variability(known))
    assert math.isnan(equinorm(known))


def test_the_measure_tells_of_a_classifier_what_it_has_not_of_an_encoder(lab, blobs, tuned, pretrained, linear_net):
    data = replace(blobs(), part="test")
    classifier = lab.put(pretrained(data, Classifier()), linear_net)
    encoder = lab.put(tuned(data), linear_net)
    pixels, labels = lab.workspace.pixels(data)
    features = linear_net.features(pixels)
    known = by_class(features, labels)
    results, _ = lab.run(NeuralCollapse(classifier, on=data))
    assert next(iter(results)) == "nc1"
    nearest = nearest_mean(features, known)
    assert results["nc1"] == pytest.approx(variability(known), rel=1e-6)
    assert results["nearest_mean"] == 100 * float((nearest == labels).double().mean())
    assert results["nc4"] == 100 * float((nearest == linear_net(pixels).argmax(1)).double().mean())
    assert results["nc3"] == pytest.approx(duality(known, linear_net.top.weight.detach()), rel=1e-6)
    assert results["classes"] == 4
    plain, _ = lab.run(NeuralCollapse(encoder, on=data))
    assert plain == {name: value for name, value in results.items() if name not in ("nc3", "nc4")}
    assert lab.run(NeuralCollapse(classifier, on=replace(data, classes=(0, 1, 3))))[0].keys() == plain.keys(), "of other classes"


def test_a_class_absent_from_the_split_is_left_out_and_one_class_alone_refused(lab, blobs, tuned, linear_net, monkeypatch):
    data = replace(blobs(), part="test")
    stage, whole = lab.put(tuned(data), linear_net), data.load(None)

    def only(*classes):
        rows = np.isin(whole.labels, classes)
        monkeypatch.setattr(type(data), "load", lambda self, root: Images(whole.pixels[rows], whole.labels[rows], whole.ids[rows]))
        lab.workspace.memory.features.clear()
        return lab.run(NeuralCollapse(stage, on=data))[0]

    assert only(0, 2, 3)["classes"] == 3
    assert all(math.isfinite(value) for value in only(0, 2, 3).values())
    with pytest.raises(UserError, match=r"NeuralCollapse\.on = .*all are of class \[2\]\. Use a split"):
        only(2)


def test_features_that_are_not_finite_have_no_collapse(lab, blobs, tuned, linear_net):
    data = replace(blobs(), part="test")
    stage = lab.put(tuned(data), linear_net)
    linear_net.encoder = torch.nn.Sequential(linear_net.encoder, torch.nn.Threshold(10.0, math.inf))
    results, _ = lab.run(NeuralCollapse(stage, on=data))
    assert results.pop("classes") == 4
    assert all(math.isnan(value) for value in results.values())
