"""Corruption error of a classifier: against one that is worked out image by image, and against a baseline's."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from analysis import MCE, Accuracy, Corruptions
from analysis.calibration import ece
from analysis.corruptions import PROCEDURAL, STANDARD, corrupt
from analysis.measure import Drawn
from analysis.robustness import corruptions as measured
from analysis.robustness.mce import ALEXNET, ALEXNET_CLEAN
from contrast import UserError
from contrast.model import Artefact, Net

SOME = ("gaussian_noise", "fog", "frost", "jpeg")


def anew(lab):
    """Forget what a measure in parts has saved."""
    lab.workspace.restore(lambda *_: False)


@pytest.fixture
def put(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    return data, lab.put(tuned(data), conv_net.requires_grad_(False))


def test_error_and_calibration_are_those_of_each_image_by_itself(lab, put, blobs, conv_net):
    _, stage = put
    data = blobs(per_class=5).held_out("confirm")
    measure = Corruptions(stage, on=data, corruptions=SOME, severities=(2, 5))
    results, arrays = lab.run(measure)
    images, (x, y) = lab.workspace.images(data), lab.workspace.pixels(data)
    for i, name in enumerate(SOME):
        for j, severity in enumerate((2, 5)):
            each = [conv_net(corrupt(x[[k]], name, severity, images.ids[[k]]))[0] for k in range(len(x))]
            outputs = torch.stack(each).double()
            assert arrays["error"][i, j] == pytest.approx(100 * (outputs.argmax(1) != y).double().mean().item())
            assert arrays["ece"][i, j] == pytest.approx(ece(outputs, y), abs=1e-4)
    assert results["clean"] == 100 - lab.run(Accuracy(stage, on=data))[0]["accuracy"] == 100 - results["accuracy_0"]
    error, published = arrays["error"], np.array([name not in PROCEDURAL for name in SOME])
    assert published.sum() == 3
    assert np.array_equal(arrays["published"], published)
    assert next(iter(results)) == "error"
    assert results["error"] == pytest.approx(error[published].mean())
    assert results["all"] == pytest.approx(error.mean())
    assert results["relative"] == pytest.approx(error[published].mean() - results["clean"])
    assert results["accuracy_5"] == pytest.approx(100 - error[published, 1].mean())
    assert results["ece_2"] == pytest.approx(arrays["ece"][published, 0].mean())
    assert results["error_frost"] == pytest.approx(error[2].mean())
    assert not any(math.isnan(value) for value in results.values())


def test_stopped_after_each_corruption_or_split_otherwise_it_finds_the_same(lab, put, monkeypatch):
    data, stage = put
    measure = Corruptions(stage, on=data, corruptions=SOME, severities=(1, 3), samples=30)
    results, arrays = lab.stopped(measure)
    anew(lab)
    again = lab.run(measure)
    monkeypatch.setattr(measured, "_NUMBERS", 1)  # eight images at a time
    anew(lab)
    split = lab.run(measure)
    for other_results, other in (again, split):
        assert other_results == results
        for name, array in arrays.items():
            assert np.array_equal(other[name], array)


def test_a_class_without_images_counts_for_nothing(lab, put, conv_net, monkeypatch):
    data, stage = put
    images = lab.workspace.images(data)
    kept = images.labels != 2
    few = images._replace(pixels=images.pixels[kept], labels=images.labels[kept], ids=images.ids[kept])
    whole = lab.run(Corruptions(stage, on=data, corruptions=("contrast",), severities=(5,)))[0]
    monkeypatch.setattr(lab.workspace, "images", lambda _: few)
    anew(lab)
    results, _ = lab.run(Corruptions(stage, on=data, corruptions=("contrast",), severities=(5,), samples=None))
    x, y = torch.from_numpy(few.pixels).float() / 255, torch.from_numpy(few.labels)
    wrong = conv_net(corrupt(x, "contrast", 5, few.ids)).argmax(1) != y
    assert results["error"] == pytest.approx(100 * wrong.double().mean().item())
    assert results != whole


def test_outputs_that_are_not_finite_or_probabilities_are_refused(lab, blobs, tuned, linear_net):
    data = blobs().held_out("confirm")
    likely = Net(data.mean, data.std, linear_net.encoder, nn.Sequential(copy.deepcopy(linear_net.top), nn.Softmax(dim=1)))
    nn.init.constant_(linear_net.top.bias, torch.inf)
    for seed, (net, words) in enumerate(((linear_net, "not finite"), (likely, "these are probabilities"))):
        stage = lab.put(tuned(data, seed), net.requires_grad_(False))
        with pytest.raises(UserError, match=rf"Corruptions\.of = .*{words}"):
            lab.run(Corruptions(stage, on=data))


def test_bad_fields_are_refused(blobs, tuned):
    data, stage = blobs(), tuned(blobs())
    for changes, field in (
        ({"severities": ()}, "severities"),
        ({"severities": (0, 1)}, "severities"),
        ({"severities": (1, 6)}, "severities"),
        ({"severities": (3, 1)}, "severities"),
        ({"severities": (1, 1)}, "severities"),
        ({"corruptions": ("fog", "fog")}, "corruptions"),
        ({"corruptions": ()}, "corruptions"),
        ({"corruptions": ("frost", "snow")}, "corruptions"),
        ({"corruptions": ("rain",)}, "corruptions"),
        ({"table": "mnist"}, "table"),
        ({"samples": 0}, "samples"),
    ):
        with pytest.raises(UserError, match=rf"Corruptions\.{field} = "):
            Corruptions(stage, data, **changes)
    with pytest.raises(UserError, match=r"Corruptions\.of = .*not a tuple"):
        Corruptions((stage,), data)


@pytest.fixture
def shelved(lab, blobs, tuned):
    """Puts corruption errors [C, S] on the shelf as those of a network."""

    def put(seed, error, clean, names=STANDARD, table="imagenet"):
        measure = Corruptions(tuned(blobs(), seed), on=blobs(), table=table, corruptions=names)
        published = np.array([name not in PROCEDURAL for name in names])
        return lab.put(measure, error=error, clean=np.array([clean, 0.0]), corruption=np.array(names), published=published)

    return put


def test_errors_of_alexnet_are_100(lab, shelved):
    error = np.array([[value + spread for spread in (-4, -2, 0, 2, 4)] for value in ALEXNET.values()])
    results, arrays = lab.run(MCE(shelved(0, error, ALEXNET_CLEAN)))
    assert [results[name] for name in ("mce", "relative", "all", "mce_fog")] == pytest.approx([100] * 4)
    assert arrays["ratio"].shape == (15,)


def test_a_resnet_50_as_published_has_its_published_mce(lab, shelved):
    """Of the same network the unnormalised mean is published too, 39.2 % of images right, so the table of AlexNet is checked as well."""
    ratio = np.array([79.8, 81.6, 82.6, 74.7, 88.6, 78.0, 79.9, 77.8, 74.8, 66.1, 56.6, 71.4, 84.8, 76.9, 76.8])
    error = ratio * np.array(list(ALEXNET.values())) / 100
    results, _ = lab.run(MCE(shelved(0, np.tile(error[:, None], 5), 23.9)))
    assert results["all"] == pytest.approx(76.7, abs=0.05)
    assert 100 - error.mean() == pytest.approx(39.2, abs=0.05)


def test_a_baseline_of_ones_own_is_100_and_ratios_are_those_of_errors_and_of_what_is_added(lab, shelved):
    names = ("fog", "snow", "contrast")
    one = np.array([[20.0] * 5, [90.0] * 5, [50.0, 50, 50, 50, 100]])
    two = np.array([[40.0] * 5, [30.0] * 5, [80.0] * 5])
    own, base = (shelved(seed, error, 10.0, names, "cifar") for seed, error in enumerate((one, two)))
    results, arrays = lab.run(MCE((own, base)))
    assert results["mce"] == pytest.approx((100 * 20 / 40 + 100 * 60 / 80) / 2)
    assert results["all"] == pytest.approx((50 + 300 + 75) / 3)
    assert results["relative"] == pytest.approx((100 * 10 / 30 + 100 * 50 / 70) / 2)
    assert arrays["ratio"].tolist() == pytest.approx([50, 300, 75])
    assert lab.run(MCE((base, base)))[0]["mce"] == 100
    perfect = shelved(2, np.zeros((3, 5)), 0.0, names, "cifar")
    assert math.isnan(lab.run(MCE((own, perfect)))[0]["mce"])


def test_what_does_not_compare_is_refused(blobs, tuned):
    stage = Corruptions(tuned(blobs()), on=blobs())
    of_imagenet = replace(stage, table="imagenet")
    MCE((stage, replace(stage, of=tuned(blobs(), 1))))
    MCE(of_imagenet)
    for of, rule in (
        (tuned(blobs()), "must be a Corruptions"),
        ((stage, stage, stage), "must be a Corruptions"),
        ((stage, replace(stage, samples=10)), "a baseline with another samples"),
        ((stage, replace(of_imagenet, severities=(1,))), "a baseline with another table, severities"),
        (stage, "not like AlexNet's"),
        (replace(of_imagenet, severities=(1, 3)), "not like AlexNet's"),
        (replace(of_imagenet, corruptions=("spatter", "fog")), "not like AlexNet's"),
    ):
        with pytest.raises(UserError, match=rf"MCE\.of = .*{rule}"):
            MCE(of)


def test_the_picture_of_mce_has_ratios_within_seeds_and_tasks_and_leaves_the_baseline_out(blobs, tuned):
    """Of seeds that have all tasks; the mean is over what is as published."""

    def drawn(method, seed, task, ratios):
        stage = Corruptions(tuned(task, seed, method), on=task)
        arrays = {"ratio": np.array(ratios), "corruption": np.array(["fog", "snow", "jpeg"]), "published": np.array([True, False, True])}
        return Drawn("", f"{method}/{seed}", 0, {"mce": 1.0}, arrays, MCE((stage, stage)), ((method, seed), ("supce", seed)))

    first, second = blobs(classes=(0, 1)), blobs(classes=(2, 3))
    shown = [drawn("simclr", 0, first, (80.0, 10, 60)), drawn("simclr", 0, second, (40.0, 30, 20))]
    figure = MCE.figure([*shown, drawn("simclr", 1, first, (0.0, 0, 0)), drawn("supce", 0, first, (100.0, 100, 100))])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mean", "fog", "snow *", "jpeg"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["simclr"]
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_xdata().tolist() for line in marks] == [[50, 60, 20, 40]]
    assert axes.get_xlabel() == "error (% of that of supce)"
    assert MCE.figure([shown[0], drawn("simclr", 1, second, (40.0, 30, 20))]) is None


def test_an_artefact_says_by_name_what_its_rows_are(lab, put):
    data, stage = put
    lab.run(Corruptions(stage, on=data, corruptions=SOME, severities=(1,), samples=8))
    kept = Artefact(lab.workspace.folder, {}).arrays()
    assert kept["corruption"].tolist() == list(SOME)
    assert kept["severities"].tolist() == [1]
