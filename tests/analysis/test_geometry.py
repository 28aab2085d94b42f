"""Prediction-space geometry against closed forms on the sphere, a tight scalar search, and float64 brute force."""

from math import acos, atan2, log, pi, sin, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from analysis import Progress
from analysis.geometry import bhattacharyya as module
from analysis.geometry.bhattacharyya import FLOOR, arc, bhattacharyya, distance_to_truth, pairwise, true_model, uniform_model
from analysis.geometry.progress import length_ratio, progress
from contrast.component import UserError


def models(m=6, n=40, c=5, seed=0, scale=2.0):
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, c, (n,), generator=draws)
    logits = scale * torch.randn(m, n, c, dtype=torch.float64, generator=draws)
    logits[:, torch.arange(n), labels] += torch.linspace(-1, 3, m, dtype=torch.float64)[:, None]
    return logits.log_softmax(-1), labels


def on_geodesic(t, labels, classes):
    """The point at t between ignorance and truth, by the textbook formula on each sphere."""
    angle = acos(classes**-0.5)
    ends = torch.full((len(labels), classes), classes**-0.5, dtype=torch.float64)
    point = ends * sin((1 - t) * angle) / sin(angle)
    point[torch.arange(len(labels)), labels] += sin(t * angle) / sin(angle)
    return 2 * point.log()


# Bhattacharyya distance


def test_distance_is_minus_the_mean_log_coefficient():
    p, _ = models(2)
    expected = -np.log(np.sqrt(np.exp(p[0].numpy()) * np.exp(p[1].numpy())).sum(1)).mean()
    distance, clipped = bhattacharyya(p[0], p[1])
    assert distance.item() == pytest.approx(expected, abs=1e-12)
    assert clipped == 0


@given(st.floats(1e-3, 1 - 1e-3), st.floats(1e-3, 1 - 1e-3))
@settings(max_examples=50, deadline=None)
def test_distance_of_two_coins_is_the_closed_form_symmetric_and_zero_iff_equal(p, q):
    first, second = (torch.tensor([[log(x), log(1 - x)]], dtype=torch.float64) for x in (p, q))
    distance, _ = bhattacharyya(first, second)
    assert distance.item() == pytest.approx(-log(min(1.0, sqrt(p * q) + sqrt((1 - p) * (1 - q)))), abs=1e-12)
    assert distance.item() == bhattacharyya(second, first)[0].item()
    assert bhattacharyya(first, first)[0].item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("classes", [2, 5, 10, 100])
def test_ignorance_is_half_a_log_of_the_classes_from_the_truth(classes):
    labels = torch.arange(classes)
    nothing = uniform_model(classes, classes)
    assert distance_to_truth(nothing, labels)[0].item() == pytest.approx(0.5 * log(classes), abs=1e-12)
    assert bhattacharyya(nothing, true_model(labels, classes))[0].item() == pytest.approx(0.5 * log(classes), abs=1e-12)


def test_a_certain_error_costs_the_floor_and_is_counted():
    labels = torch.tensor([0, 1, 2, 0])
    wrong = torch.tensor([0, 1, 2, 1])
    distance, clipped = distance_to_truth(true_model(wrong, 3), labels)
    assert distance.item() == pytest.approx(-log(FLOOR) / 4, rel=1e-12)
    assert clipped == 0.25
    matrix, clipped = pairwise(torch.stack([true_model(wrong, 3), true_model(labels, 3)]))
    assert matrix[0, 1].item() == pytest.approx(-log(FLOOR) / 4, rel=1e-12)
    assert clipped == 0.25


def test_all_pairs_equal_the_pairs_one_by_one_also_across_blocks(monkeypatch):
    p, labels = models(9, n=137, scale=8.0)
    p = torch.cat([p, uniform_model(137, 5)[None], true_model(labels, 5)[None]])
    expected = torch.stack([torch.stack([bhattacharyya(a, b)[0] for b in p]) for a in p])
    shares = [bhattacharyya(p[i], p[j])[1] for i in range(len(p)) for j in range(len(p)) if i != j]
    for block, tile, together in ((16 << 20, 120, 24), (8 * 11 * 5 * 13, 120, 24), (16 << 20, 4, 5)):
        monkeypatch.setattr(module, "_BLOCK_BYTES", block)
        monkeypatch.setattr(module, "_TILE", tile)
        monkeypatch.setattr(module, "_TOGETHER", together)
        matrix, clipped = pairwise(p)
        assert (matrix - expected).abs().max() < 1e-10
        assert clipped == pytest.approx(np.mean(shares), abs=1e-12)
        assert clipped > 0
        assert (pairwise(p, torch.float32)[0] - expected).abs().max() < 1e-6
    assert torch.equal(matrix, matrix.T)
    assert matrix.diagonal().abs().max() == 0


def test_products_of_many_coefficients_at_the_floor_do_not_underflow():
    labels, wrong = torch.zeros(500, dtype=torch.int64), torch.ones(500, dtype=torch.int64)
    matrix, clipped = pairwise(torch.stack([true_model(labels, 2), true_model(wrong, 2)]))
    assert matrix[0, 1].item() == pytest.approx(-log(FLOOR), rel=1e-12)
    assert clipped == 1


def test_rounded_probabilities_are_put_back_on_the_sphere():
    p, _ = models(4)
    rounded = p.float()
    assert (pairwise(rounded)[0] - pairwise(p)[0]).abs().max() < 1e-7
    assert arc(rounded[0], rounded[0]).item() == 0


def test_arc_is_the_angle_on_the_sphere():
    labels = torch.tensor([0, 1, 2])
    nothing, truth = uniform_model(3, 3), true_model(labels, 3)
    assert arc(nothing, truth).item() == pytest.approx(acos(3**-0.5), abs=1e-12)
    assert arc(true_model(labels, 3), true_model(labels.roll(1), 3)).item() == pytest.approx(acos(0), abs=1e-12)


def test_three_classes_of_one_sample_are_the_corners_of_an_octant():
    """The sphere that one can see: three truths at right angles, ignorance in the middle, at 54.74 degrees from each."""
    labels = torch.arange(3)
    corners = torch.stack([true_model(labels[c : c + 1], 3) for c in range(3)])
    nothing = uniform_model(1, 3)[None].expand(3, 1, 3)
    assert arc(corners, corners.roll(1, 0)).tolist() == pytest.approx([pi / 2] * 3, abs=1e-12)
    assert np.degrees(arc(nothing, corners)).tolist() == pytest.approx([54.735610317245346] * 3, abs=1e-10)
    assert bhattacharyya(nothing, corners)[0].tolist() == pytest.approx([log(3) / 2] * 3, abs=1e-12)
    assert pairwise(corners)[0].tolist() == [[pytest.approx(0 if i == j else -log(FLOOR)) for j in range(3)] for i in range(3)]
    half = torch.tensor([[[0.5, 0.5, 0.0]]], dtype=torch.float64).log()  # half way between two of them
    assert arc(half[0], corners[0]).item() == pytest.approx(pi / 4, abs=1e-12)
    t = [progress(half, labels[c : c + 1]).item() for c in range(3)]
    on_plane = atan2((sqrt(0.5) - sqrt(2 / 3) * sqrt(1 / 3)) / sqrt(2 / 3), sqrt(2 / 3)) / acos(sqrt(1 / 3))
    assert t == [pytest.approx(on_plane, abs=1e-12), pytest.approx(on_plane, abs=1e-12), 0.0]


# Progress


@pytest.mark.parametrize("classes", [2, 5, 100])
def test_a_point_on_the_geodesic_has_its_own_progress(classes):
    labels = torch.arange(60) % classes
    t = [0.0, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999]
    stack = torch.stack([on_geodesic(x, labels, classes) for x in t])
    assert (progress(stack, labels) - torch.tensor(t, dtype=torch.float64)).abs().max() < 1e-8


def test_ignorance_has_progress_0_and_the_truth_1():
    labels = torch.arange(12) % 4
    ends = torch.stack([uniform_model(12, 4), true_model(labels, 4)])
    assert progress(ends, labels).tolist() == [pytest.approx(0, abs=1e-12), 1.0]


def test_a_model_that_is_certain_and_wrong_stays_at_0():
    labels = torch.arange(12) % 4
    assert progress(true_model((labels + 1) % 4, 4)[None], labels).tolist() == [0.0]


def test_one_sample_without_probability_for_its_label_leaves_the_others_near_the_truth():
    labels = torch.arange(400) % 4
    mostly = labels.clone()
    mostly[0] = (mostly[0] + 1) % 4
    t = progress(true_model(mostly, 4)[None], labels).item()
    assert 0.9 < t < 1


@pytest.mark.parametrize(("q", "t"), [(0.4, 0.1997), (0.7, 0.4765), (0.95, 0.7963)])
def test_progress_of_a_model_that_gives_every_label_probability_q(q, t):
    labels = torch.arange(25) % 5
    p = torch.full((25, 5), (1 - q) / 4, dtype=torch.float64).scatter_(1, labels[:, None], q)
    closed = acos(sqrt(q / 5) + sqrt((1 - q) * (1 - 1 / 5))) / acos(sqrt(1 / 5))
    assert progress(p.log()[None], labels).item() == pytest.approx(closed, abs=1e-10)
    assert closed == pytest.approx(t, abs=5e-5)


@pytest.mark.parametrize("scale", [0.3, 2.0, 6.0])
def test_progress_is_the_minimiser_that_a_tight_search_along_the_geodesic_finds(scale):
    p, labels = models(8, scale=scale)
    angle = acos(5**-0.5)

    def distance(t, roots):
        start = np.full((len(labels), 5), 5**-0.5)
        end = np.eye(5)[labels.numpy()]
        point = (sin((1 - t) * angle) * start + sin(t * angle) * end) / sin(angle)
        return -np.log((roots * point).sum(1)).mean()

    for found, log_p in zip(progress(p, labels).tolist(), p, strict=True):
        roots = np.exp(0.5 * log_p.numpy())
        search = minimize_scalar(distance, bounds=(0, 1), args=(roots,), method="bounded", options={"xatol": 1e-11})
        assert found == pytest.approx(search.x, abs=2e-7)  # the search cannot see below sqrt(eps)
        assert distance(found, roots) <= search.fun + 1e-14


def test_progress_does_not_depend_on_the_names_of_the_classes_or_the_order_of_samples():
    p, labels = models()
    t = progress(p, labels)
    names, order = torch.tensor([3, 0, 4, 1, 2]), torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert (progress(p[..., names], names.argsort()[labels]) - t).abs().max() < 1e-12
    assert (progress(p[:, order], labels[order]) - t).abs().max() < 1e-12


def test_a_trajectory_along_the_geodesic_is_as_long_as_its_ends_are_apart_and_a_detour_longer():
    labels = torch.arange(30) % 5
    straight = torch.stack([on_geodesic(t, labels, 5) for t in (0.1, 0.2, 0.45, 0.8)])
    assert length_ratio(straight) == pytest.approx(1, abs=1e-9)
    there_and_back = torch.stack([on_geodesic(t, labels, 5) for t in (0.1, 0.8, 0.45)])
    assert length_ratio(there_and_back) == pytest.approx((0.7 + 0.35) / 0.35, abs=1e-9)
    assert length_ratio(straight[:1]) == 1


def head_trajectory(features, epochs=4, classes=4, seed=0):
    draws = torch.Generator().manual_seed(seed)
    weight = 0.1 * torch.arange(epochs)[:, None, None] * torch.randn(classes, features.shape[1], generator=draws)
    bias = torch.randn(epochs, classes, generator=draws)
    logits = torch.einsum("nd,ecd->enc", features, weight) + bias[:, None]
    return weight.numpy(), bias.numpy(), logits.log_softmax(-1).numpy()


def test_progress_measure_reads_the_kept_trajectory_and_elsewhere_the_kept_heads(lab, blobs, tuned, linear_net):
    data, held = blobs().fit("search"), blobs().held_out("search")
    with torch.no_grad():
        weight, bias, log_probs = head_trajectory(linear_net.features(lab.workspace.pixels(data)[0]))
    images = lab.workspace.images(data)
    kept = {"log_probs": log_probs, "labels": images.labels, "ids": images.ids, "head_weight": weight, "head_bias": bias}
    stage = lab.put(tuned(data), linear_net, **kept)
    results, arrays = lab.run(Progress(stage))
    labels = torch.from_numpy(images.labels)
    assert list(results)[:3] == ["t", "bhattacharyya", "length_ratio"]
    assert np.allclose(arrays["t"], progress(torch.from_numpy(log_probs), labels), atol=1e-12)
    assert np.allclose(arrays["bhattacharyya"], distance_to_truth(torch.from_numpy(log_probs), labels)[0], atol=1e-12)
    assert results["t"] == arrays["t"][-1]
    assert results["bhattacharyya"] == arrays["bhattacharyya"][-1]
    again, by_heads = lab.run(Progress(stage, on=data))
    assert np.allclose(by_heads["t"], arrays["t"], atol=1e-5)  # float32 features
    assert again["length_ratio"] == pytest.approx(results["length_ratio"], abs=1e-4)
    with torch.no_grad():
        shown = linear_net.features(lab.workspace.pixels(held)[0])
    expected = (torch.einsum("nd,ecd->enc", shown, torch.from_numpy(weight)) + torch.from_numpy(bias)[:, None]).log_softmax(-1)
    _, elsewhere = lab.run(Progress(stage, on=held))
    assert np.allclose(elsewhere["t"], progress(expected, torch.from_numpy(lab.workspace.images(held).labels)), atol=1e-5)
    assert elsewhere["t"].shape == (4,)


def test_progress_measure_says_what_is_missing(lab, blobs, tuned, linear_net):
    data = blobs()
    with pytest.raises(UserError, match=r"Progress\.of = .*Measure a Finetune"):
        lab.run(Progress(lab.put(tuned(data), linear_net)))
    p, labels = models(3, c=4)
    for seed, wrong in enumerate((p.exp(), torch.where(p < p.quantile(0.01), torch.nan, p))):
        with pytest.raises(UserError, match=r"Progress\.of = .*no numbers or above 0"):
            lab.run(Progress(lab.put(tuned(data, seed=5 + seed), log_probs=wrong.numpy(), labels=labels.numpy())))
    whole = lab.put(tuned(data, seed=1), linear_net, log_probs=p.numpy(), labels=labels.numpy())
    with pytest.raises(UserError, match=r"Progress\.on = .*frozen"):
        lab.run(Progress(whole, on=data))


def test_geodesic_formula_of_this_file_has_unit_norm():
    point = on_geodesic(0.37, torch.arange(5), 5).exp().sum(1)
    assert point.tolist() == pytest.approx([1] * 5, abs=1e-12)
