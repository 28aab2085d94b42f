"""Calibration errors against cases worked by hand, netcal, torchmetrics where it is right, and definitions written out."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import nn

from analysis import Accuracy, Calibration
from analysis.calibration import ece
from analysis.calibration.bins import binned, confidences, equal_mass, equal_width
from analysis.calibration.calibration import scores
from analysis.calibration.chance import ece_standard_error, null
from analysis.calibration.errors import class_wise_ece, debiased_l2, ece_equal_mass
from analysis.calibration.proper import brier, nll
from analysis.calibration.temperature import COLDEST, HOTTEST, cross_fitted, temperature
from contrast.component import UserError


def logits_of(confidence, classes=4):
    """Logits whose largest probability, of class 0, is `confidence`, and the others equal."""
    confidence = torch.as_tensor(confidence, dtype=torch.float64)
    rest = ((1 - confidence) / (classes - 1)).log()[:, None].expand(-1, classes - 1)
    return torch.cat([confidence.log()[:, None], rest], dim=1)


def drawn(n=500, classes=5, scale=3.0, seed=0):
    draws = torch.Generator().manual_seed(seed)
    outputs = scale * torch.randn(n, classes, dtype=torch.float64, generator=draws)
    labels = torch.multinomial((outputs / 2).softmax(dim=1), 1, generator=draws)[:, 0]
    return outputs, labels


def test_ece_of_two_points_by_hand():
    right, wrong = torch.tensor([0, 0]), torch.tensor([0, 1])
    assert ece(logits_of([0.9, 0.6]), right) == pytest.approx((0.1 + 0.4) / 2, abs=1e-12)
    assert ece(logits_of([0.9, 0.6]), wrong) == pytest.approx((0.1 + 0.6) / 2, abs=1e-12)
    assert ece(logits_of([0.95, 0.98]), wrong) == pytest.approx(abs((0.95 + 0.98) / 2 - 0.5), abs=1e-12), "of one bin"


def test_who_is_always_sure_and_four_of_five_times_right_has_an_error_of_a_fifth():
    outputs = 1000 * torch.eye(3, dtype=torch.float64)[torch.zeros(100, dtype=torch.long)]
    assert ece(outputs, (torch.arange(100) % 5 == 0).long()) == pytest.approx(0.2, abs=1e-12)


def test_bins_are_closed_on_the_right_and_0_and_1_are_in_the_outer_ones():
    edges = torch.tensor([0.0, 1e-300, 0.2, 0.2 + 1e-12, 0.8, 1.0], dtype=torch.float64)
    assert equal_width(edges, 5).tolist() == [0, 0, 0, 1, 3, 4]


def test_torchmetrics_has_a_bin_of_its_own_for_confidence_1():
    """Wrong at confidence 1, right at 0.95: one bin whose gap is 0.475, of which torchmetrics makes two, of 0.5 and 0.025."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    probabilities, labels = torch.tensor([[1.0, 0.0], [0.95, 0.05]]), torch.tensor([1, 0])
    assert ece(probabilities.double().log(), labels) == pytest.approx(0.475, abs=1e-7)
    assert multiclass_calibration_error(probabilities, labels, num_classes=2, n_bins=15).item() == pytest.approx(0.525, abs=1e-6)


@pytest.mark.parametrize("bins", [10, 15])
def test_ece_is_netcals_and_torchmetrics(bins):
    from netcal.metrics import ECE
    from torchmetrics.functional.classification import multiclass_calibration_error

    outputs, labels = drawn()
    probabilities = outputs.softmax(dim=1)
    assert ece(outputs, labels, bins) == pytest.approx(ECE(bins).measure(probabilities.numpy(), labels.numpy()), abs=1e-12)
    peer = multiclass_calibration_error(probabilities, labels, num_classes=5, n_bins=bins, norm="l1")
    assert ece(outputs, labels, bins) == pytest.approx(peer.item(), abs=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_give_no_error(bad):
    outputs, labels = drawn()
    outputs[3, 2] = bad
    assert math.isnan(ece(outputs, labels))


def by_hand(confidence, correct, place):
    """Bin by bin: samples, mean confidence, share of right ones."""
    for number in sorted(set(place.tolist())):
        inside = place == number
        yield int(inside.sum()), confidence[inside].mean().item(), correct[inside].double().mean().item()


def test_bins_of_equal_mass_hold_as_many_samples_and_keep_equal_confidences_together():
    confidence = torch.rand(103, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    place = equal_mass(confidence, 10)
    assert set(place.bincount().tolist()) == {10, 11}
    assert (place[confidence.argsort()].diff() >= 0).all()
    order = torch.randperm(103, generator=torch.Generator().manual_seed(1))
    assert torch.equal(equal_mass(confidence[order], 10), place[order])
    tied = torch.tensor([1.0] * 80 + [0.5] * 20, dtype=torch.float64)
    assert equal_mass(tied, 5).unique().tolist() == [0, 1]
    assert equal_mass(confidence[:3], 15).max() < 15, "fewer samples than bins"


def test_errors_over_bins_of_equal_mass_are_their_definitions():
    outputs, labels = drawn()
    confidence, correct = confidences(outputs, labels)
    found = list(by_hand(confidence, correct, equal_mass(confidence, 15)))
    assert ece_equal_mass(outputs, labels) == pytest.approx(sum(n / 500 * abs(a - c) for n, c, a in found), abs=1e-12)
    squares = sum(n / 500 * ((a - c) ** 2 - a * (1 - a) / (n - 1)) for n, c, a in found)
    assert debiased_l2(outputs, labels) == pytest.approx(math.sqrt(squares), abs=1e-12)


def test_the_debiased_error_of_a_calibrated_network_is_nothing_on_average():
    squares = []
    for seed in range(300):
        draws = torch.Generator().manual_seed(seed)
        outputs = torch.randn(300, 3, dtype=torch.float64, generator=draws)
        labels = torch.multinomial(outputs.softmax(dim=1), 1, generator=draws)[:, 0]
        confidence, correct = confidences(outputs, labels)
        found = by_hand(confidence, correct, equal_mass(confidence, 15))
        squares.append(sum(n / 300 * ((a - c) ** 2 - a * (1 - a) / (n - 1)) for n, c, a in found))
        assert debiased_l2(outputs, labels) == pytest.approx(math.sqrt(max(squares[-1], 0)), abs=1e-12)
    assert abs(np.mean(squares)) < 3 * np.std(squares) / math.sqrt(300)


def test_the_class_wise_error_is_its_definition_and_counts_a_class_without_samples():
    outputs, labels = drawn()
    labels = labels.clamp(max=3)  # nothing of class 4
    probabilities = outputs.softmax(dim=1)
    errors = []
    for number in range(5):
        place = equal_width(probabilities[:, number], 15)
        errors.append(sum(n / 500 * abs(a - c) for n, c, a in by_hand(probabilities[:, number], labels == number, place)))
    assert errors[4] == pytest.approx(probabilities[:, 4].mean().item())
    assert class_wise_ece(outputs, labels) == pytest.approx(np.mean(errors), abs=1e-12)


def test_the_brier_score_is_its_parts():
    outputs, labels = drawn()
    probabilities, truth = outputs.softmax(dim=1), torch.eye(5, dtype=torch.float64)[labels]
    found = brier(outputs, labels)
    assert found.score == pytest.approx((probabilities - truth).square().sum(dim=1).mean().item(), abs=1e-12)
    assert found.score == pytest.approx(found.reliability - found.resolution + found.uncertainty, abs=1e-12)
    resolution = 0.0
    for number in range(5):
        p, y = probabilities[:, number], truth[:, number]
        place = equal_width(p, 15)
        for one in place.unique():
            inside = place == one
            share = inside.double().mean().item()
            within = (p[inside].var(correction=0) - 2 * ((p[inside] - p[inside].mean()) * (y[inside] - y[inside].mean())).mean()).item()
            resolution += share * ((y[inside].mean() - y.mean()).square().item() - within)
    assert found.resolution == pytest.approx(resolution, abs=1e-12), "of Stephenson, Coelho and Jolliffe"
    shares = truth.mean(dim=0)
    constant = brier(shares.log().expand(500, 5), labels)
    assert constant == pytest.approx((found.uncertainty, 0, 0, found.uncertainty), abs=1e-12)


def test_a_calibrated_network_shows_its_null_value_and_not_nothing():
    draws = torch.Generator().manual_seed(3)
    outputs = 2 * torch.randn(2000, 5, dtype=torch.float64, generator=draws)
    confidence, _ = confidences(outputs, outputs.argmax(dim=1))
    place = equal_width(confidence, 15)
    chance = null(confidence, place, 15, np.arange(2000))
    drawn_anew = []
    for _ in range(200):
        labels = torch.multinomial(outputs.softmax(dim=1), 1, generator=draws)[:, 0]
        drawn_anew.append(ece(outputs, labels))
        low, high = np.quantile(drawn_anew, (0.025, 0.975))
    assert chance.ece == pytest.approx(np.mean(drawn_anew), abs=4 * np.std(drawn_anew) / math.sqrt(100))
    assert low < chance.ece < high
    assert chance.ece > 0.25 * math.sqrt(15 / 2000)
    _, correct = confidences(outputs, labels)
    found = binned(confidence, correct, place, 15)
    accuracy = (found.correct / found.count).numpy()
    seen = found.count.numpy() > 0
    assert np.isnan(chance.low[~seen]).all()
    assert ((accuracy >= chance.low) & (accuracy <= chance.high))[seen].mean() > 0.75


def test_labels_of_a_calibrated_network_belong_to_the_samples_not_to_their_places():
    outputs, labels = drawn()
    ids, order = np.arange(500) * 7, torch.randperm(500, generator=torch.Generator().manual_seed(0))
    results, arrays = scores(outputs, labels, ids, 15)
    others, moved = scores(outputs[order], labels[order], ids[order.numpy()], 15)
    assert others == pytest.approx(results, abs=1e-12)
    for name, array in arrays.items():
        assert moved[name] == pytest.approx(array, nan_ok=True), name


def test_the_standard_error_is_that_of_samples_drawn_again():
    outputs, labels = drawn(400)
    confidence, correct = confidences(outputs, labels)
    again = torch.randint(0, 400, (3000, 400), generator=torch.Generator().manual_seed(0))
    spread = np.std([ece(outputs[rows], labels[rows]) for rows in again])
    assert ece_standard_error(confidence, correct, equal_width(confidence, 15), 15) == pytest.approx(spread, rel=0.08)


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0, 30.0])
def test_the_temperature_has_the_least_loss(scale):
    outputs, labels = drawn()
    peer = minimize_scalar(lambda b: nll(b * scale * outputs, labels), bounds=(1e-3, 10), method="bounded", options={"xatol": 1e-12})
    assert 1 / temperature(scale * outputs, labels) == pytest.approx(peer.x, rel=1e-5)
    assert temperature(scale * outputs, labels) == pytest.approx(scale * temperature(outputs, labels), rel=1e-9)
    assert temperature(outputs + 100 * torch.arange(500)[:, None], labels) == pytest.approx(temperature(outputs, labels), rel=1e-7)


def test_a_temperature_without_an_optimum_is_at_its_bound():
    outputs, labels = drawn()
    for scale in (1, 1e5, 1e9):  # also where every probability is 1 at every temperature
        assert temperature(scale * outputs, outputs.argmax(dim=1)) == COLDEST
    assert temperature(outputs, outputs.argmin(dim=1)) == HOTTEST
    assert temperature(torch.zeros(4, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0])) == HOTTEST
    assert math.isnan(temperature(outputs[:0], labels[:0]))


def test_scaling_changes_no_prediction_and_lowers_the_loss_of_other_samples():
    outputs, labels = drawn(4000)
    heat = temperature(outputs[:2000], labels[:2000])
    assert heat == pytest.approx(2, rel=0.1), "labels were drawn from logits half as long"
    assert torch.equal((outputs / heat).argmax(dim=1), outputs.argmax(dim=1))
    assert nll(outputs[2000:] / heat, labels[2000:]) < nll(outputs[2000:], labels[2000:]) - 0.05
    scaled, mean = cross_fitted(outputs, labels)
    assert mean == pytest.approx(heat, rel=0.1)
    assert nll(scaled, labels) < nll(outputs, labels) - 0.05


def test_without_an_error_no_temperature_is_the_best_and_nothing_is_scaled(lab, blobs, tuned, linear_net):
    outputs = torch.eye(4, dtype=torch.float64).repeat(250, 1) * 3
    labels = torch.arange(4).repeat(250)
    labels[0] = 1  # one error, so that a half has none
    scaled, mean = cross_fitted(outputs, labels)
    assert math.isnan(mean)
    assert scaled.isnan().all()
    data = blobs()
    pixels, truth = lab.workspace.pixels(data)
    features = linear_net.features(pixels)
    fitted = torch.linalg.lstsq(torch.cat([features, torch.ones(len(features), 1)], 1), torch.eye(4)[truth]).solution
    with torch.no_grad():
        linear_net.top.weight.copy_(fitted[:-1].T)
        linear_net.top.bias.copy_(fitted[-1])
    assert (linear_net(pixels).argmax(dim=1) == truth).all()
    stage, other = lab.put(tuned(data), linear_net.requires_grad_(False)), blobs().held_out("confirm")
    for measure in (Calibration(stage, on=data), Calibration(stage, on=other, fit_on=data)):
        results, arrays = lab.run(measure)
        assert {name for name, value in results.items() if math.isnan(value)} == {
            "temperature",
            *(n for n in results if n[:7] == "scaled_"),
        }
        assert np.isnan(arrays["scaled_accuracy"]).all()


def test_each_half_is_scaled_by_the_temperature_of_the_other():
    outputs, labels = drawn(301)
    scaled, mean = cross_fitted(outputs, labels)
    used = (outputs / scaled).mean(dim=1)
    first = (used - used[0]).abs() < 1e-9
    one, other = temperature(outputs[first], labels[first]), temperature(outputs[~first], labels[~first])
    assert used[first].mean().item() == pytest.approx(other)
    assert used[~first].mean().item() == pytest.approx(one)
    assert mean == pytest.approx(math.sqrt(one * other))
    assert (labels[first].bincount() - labels[~first].bincount()).abs().max() <= 1, "halves are stratified"


def test_the_measure_scores_the_logits_of_the_network(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net)
    pixels, labels = lab.workspace.pixels(data)
    with torch.no_grad():
        outputs = conv_net(pixels).double()
    results, arrays = lab.run(Calibration(stage, on=data))
    assert next(iter(results)) == "ece"
    assert results["ece"] == pytest.approx(ece(outputs, labels), abs=1e-6)
    assert results["nll"] == pytest.approx(lab.run(Accuracy(stage, on=data))[0]["loss"])
    scaled, mean = cross_fitted(outputs, labels)
    assert results["temperature"] == pytest.approx(mean, rel=1e-4)
    assert results["scaled_nll"] == pytest.approx(nll(scaled, labels), rel=1e-4)
    assert arrays["count"].sum() == arrays["scaled_count"].sum() == len(labels)
    gap = np.nansum(arrays["count"] * np.abs(arrays["accuracy"] - arrays["confidence"])) / len(labels)
    assert gap == pytest.approx(results["ece"], abs=1e-12)
    other = blobs().held_out("search")
    fitted, _ = lab.run(Calibration(stage, on=data, fit_on=other))
    on_other = lab.workspace.pixels(other)
    with torch.no_grad():
        assert fitted["temperature"] == pytest.approx(temperature(conv_net(on_other[0]).double(), on_other[1]), rel=1e-4)
    assert {name for name in fitted if not name.startswith("scaled_")} == {"temperature", *(n[7:] for n in fitted if n[:7] == "scaled_")}


def test_what_cannot_be_calibrated_is_refused(lab, blobs, tuned, linear_net):
    stage, data = lab.put(tuned(blobs()), linear_net), blobs()
    with pytest.raises(UserError, match=r"Calibration\.bins = 0: must be at least 1"):
        Calibration(stage, data, bins=0)
    with pytest.raises(UserError, match=r"Calibration\.fit_on = .*must not be `on`"):
        Calibration(stage, data, fit_on=data)
    for classes in ((0, 1, 2), (1, 0, 2, 3)):
        with pytest.raises(UserError, match=r"Calibration\.fit_on = .*must have the classes of `on`, in the same order"):
            Calibration(stage, on=data, fit_on=blobs(classes=classes))
    with pytest.raises(UserError, match=r"Calibration\.of = .*3 classes, and its network has 4 outputs"):
        lab.run(Calibration(stage, on=blobs(classes=(0, 1, 2))))


@pytest.mark.parametrize("make", [Accuracy, Calibration])
def test_outputs_that_are_no_logits_are_refused(lab, blobs, tuned, linear_net, make):
    with torch.no_grad():
        linear_net.top.bias[1] = math.inf
    stage = lab.put(tuned(blobs()), linear_net)
    with pytest.raises(UserError, match=rf"{make.__name__}\.of = .*gives outputs that are not finite"):
        lab.run(make(stage, on=blobs().held_out("confirm")))
    linear_net.top = nn.Sequential(nn.Linear(108, 4), nn.Softmax(dim=1))
    with pytest.raises(UserError, match=rf"{make.__name__}\.of = .*these are probabilities, and logits are needed"):
        lab.run(make(stage, on=blobs().held_out("confirm")))
