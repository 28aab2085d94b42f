"""Calibration errors against cases worked by hand, netcal, torchmetrics where it is right, and definitions written out."""

import math

import pytest
import torch

from analysis.calibration import ece
from analysis.calibration.bins import equal_width


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
