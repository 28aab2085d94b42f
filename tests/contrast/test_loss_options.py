"""Variants of NT-Xent and SupCon against closed forms, one anchor at a time, and pytorch-metric-learning.

In float64 and to 1e-12 unless a test says otherwise.
"""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import NPairsLoss, NTXentLoss
from torch import Tensor
from torch.nn import functional

from contrast.losses import CrossView, GeneralizedContrastive, NTXent, SupCon, SupConIn
from sweeps.fingerprint import fingerprint

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
TAU = 0.3


def draw(n: int, v: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(n, v, d, dtype=torch.float64, generator=generator) * 3
    return output, torch.randint(0, 3, (n,), generator=generator)


def by_definition(loss: SupCon | SupConIn, output: Tensor, labels: Tensor) -> float:
    """One anchor after the other, in Python numbers, from the list of its positives and the list of its negatives."""
    n, v = output.shape[:2]
    z = functional.normalize(output, dim=-1).flatten(0, 1)
    s, y = (z @ z.T / loss.temperature).tolist(), labels.tolist()
    costs, valid = [], 0
    anchors = range(0, n * v, v) if loss.first_view else range(n * v)
    for i in anchors:
        mates = [j for j in range(n) if y[j] == y[i // v] and j != i // v]
        kept = mates if loss.cap is None else mates[: loss.cap // v]
        positives = [k * v + w for k in [i // v, *kept] for w in range(v) if k * v + w != i]
        negatives = [a for a in range(n * v) if y[a // v] != y[i // v]]
        if loss.surplus:
            negatives += [k * v + w for k in mates if k not in kept for w in range(v)]
        sums = {p: sum(math.exp(s[i][a]) for a in negatives) for p in positives}
        if loss.denominator is None:
            sums = {p: total + sum(math.exp(s[i][q]) for q in positives) for p, total in sums.items()}
        elif loss.denominator == "one_positive":
            sums = {p: total + math.exp(s[i][p]) for p, total in sums.items()}
        if not positives or min(sums.values()) == 0:
            costs.append(0.0)
            continue
        shares, valid = [math.exp(s[i][p]) / sums[p] for p in positives], valid + 1
        out = -sum(map(math.log, shares)) / len(shares)
        costs.append(out if isinstance(loss, SupCon) else -math.log(sum(shares) / len(shares)))
    return sum(costs) / (max(1, valid) if loss.mean_over_valid else len(costs))


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 2**20),
    n=st.integers(1, 8),
    v=st.integers(1, 3),
    cls=st.sampled_from([SupCon, SupConIn]),
    denominator=st.sampled_from([None, "one_positive", "only_negatives"]),
    images=st.none() | st.integers(0, 3),
    surplus=st.booleans(),
    mean_over_valid=st.booleans(),
    first_view=st.booleans(),
)
def test_every_combination_of_options_follows_its_definition(seed, n, v, cls, denominator, images, surplus, mean_over_valid, first_view):
    output, labels = draw(n, v, 4, seed)
    loss = cls(
        TAU,
        denominator=denominator,
        cap=None if images is None else images * v,
        surplus="negatives" if surplus and images is not None else None,
        mean_over_valid=mean_over_valid,
        first_view=first_view,
    )
    assert loss(output, labels).item() == pytest.approx(by_definition(loss, output, labels), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("cls", [SupCon, SupConIn])
def test_a_cap_that_nothing_exceeds_changes_nothing(cls):
    output, labels = draw(7, 2, 4)
    torch.testing.assert_close(cls(TAU, cap=12)(output, labels), cls(TAU)(output, labels), **TOLERANCE)


@pytest.mark.parametrize("cls", [SupCon, SupConIn])
def test_no_further_positives_and_a_class_an_image_is_nt_xent_and_so_is_counting_the_surplus_with_the_negatives(cls):
    output, labels = draw(7, 2, 4)
    expected = NTXent(TAU)(output, None)
    torch.testing.assert_close(cls(TAU, cap=0)(output, torch.arange(7)), expected, **TOLERANCE)
    torch.testing.assert_close(cls(TAU, cap=0, surplus="negatives")(output, labels), expected, **TOLERANCE)
    assert cls(TAU, cap=0)(output, labels) < expected  # images of the class have left the denominator


def test_a_cap_keeps_all_views_of_the_images_of_the_class_that_come_first():
    """Of four images of a class, cap 2 pairs the first with the second and every other with the first."""
    _, positive = SupCon(TAU, cap=2)._of_class(torch.arange(4), torch.zeros(4, dtype=torch.int64), 2)
    images = positive.view(4, 4, 2)
    assert torch.equal(images[..., 0], images[..., 1])
    assert images[..., 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**20), n=st.integers(1, 12), v=st.integers(1, 3), images=st.integers(0, 4))
def test_an_anchor_has_no_more_positives_than_the_cap_and_its_own_views(seed, n, v, images):
    _, labels = draw(n, v, 4, seed)
    _, positive = SupCon(TAU, cap=images * v)._of_class(torch.arange(n), labels, v)
    assert int((positive.sum(1) - 1).max()) <= images * v + v - 1


def test_one_positive_at_a_time_is_pytorch_metric_learnings_nt_xent_with_labels():
    """It averages over pairs, so classes must be equally frequent for the two to be the same."""
    output, _ = draw(6, 2, 5)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    peer = NTXentLoss(temperature=TAU)(output.flatten(0, 1), labels.repeat_interleave(2))
    torch.testing.assert_close(SupCon(TAU, denominator="one_positive")(output, labels), peer, **TOLERANCE)


def test_the_first_views_alone_are_anchors_against_all():
    output, labels = draw(5, 2, 4)
    both = SupCon(TAU)(output, labels)
    first, second = (SupCon(TAU, first_view=True)(view, labels) for view in (output, output.flip(1)))
    torch.testing.assert_close((first + second) / 2, both, **TOLERANCE)
    assert first != second


def test_with_itself_among_the_others_a_collapsed_batch_costs_the_logarithm_of_all():
    for n in (1, 2, 7):
        output = torch.ones(n, 2, 5, dtype=torch.float64)
        assert NTXent(0.07, include_self=True)(output, None).item() == pytest.approx(math.log(2 * n), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("tau", [0.07, 0.5, 2.0])
def test_with_itself_the_closed_form_of_orthogonal_pairs_has_its_first_term_twice(tau):
    output = torch.eye(6, dtype=torch.float64)[:, None].repeat(1, 2, 1) * 4
    expected = -1 / tau + math.log(2 * math.exp(1 / tau) + 2 * 5)
    assert NTXent(tau, include_self=True)(output, None).item() == pytest.approx(expected, rel=1e-12)


def test_with_itself_it_is_cross_entropy_of_the_unmasked_similarities():
    output, _ = draw(8, 2, 5)
    z = functional.normalize(output, dim=-1).flatten(0, 1)
    expected = functional.cross_entropy(z @ z.T / TAU, torch.arange(16) ^ 1)
    torch.testing.assert_close(NTXent(TAU, include_self=True)(output, None), expected, **TOLERANCE)


@pytest.mark.parametrize(("tau", "percent"), [(0.05, 99.9995), (0.1, 96.7), (0.2, 20.9), (0.5, 1.4)])
def test_at_small_temperatures_the_row_itself_takes_most_of_the_softmax(tau, percent):
    """Random unit vectors, d = 128, 2N = 512: share of the self term, to 0.3 points (PROTOCOL 2.6)."""
    z = functional.normalize(draw(256, 2, 128)[0], dim=-1)
    without = GeneralizedContrastive(tau, 1.0)(z, None) - GeneralizedContrastive(tau, 0.0)(z, None)
    within = GeneralizedContrastive(tau, 1.0, include_self=True)(z, None) - GeneralizedContrastive(tau, 0.0)(z, None)
    assert 100 * (1 - math.exp(without - within)) == pytest.approx(percent, abs=0.3)


def test_cross_view_is_the_cross_entropy_of_both_directions():
    output, _ = draw(8, 2, 5)
    first, second = functional.normalize(output, dim=-1).unbind(1)
    logits, own = first @ second.T / TAU, torch.arange(8)
    expected = functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)
    torch.testing.assert_close(CrossView(TAU)(output, None), expected, **TOLERANCE)


def test_cross_view_costs_twice_the_logarithm_of_the_images_where_all_agree_and_nothing_for_one():
    for n in (1, 2, 7):
        assert CrossView(0.07)(torch.ones(n, 2, 5), None).item() == pytest.approx(2 * math.log(n), rel=1e-6, abs=1e-6)


def test_cross_view_at_temperature_one_is_pytorch_metric_learnings_n_pairs_both_ways():
    output, _ = draw(7, 2, 5)
    images = torch.arange(7).repeat_interleave(2)
    peer = sum(NPairsLoss()(view.flatten(0, 1), images) for view in (output, output.flip(1)))
    torch.testing.assert_close(CrossView(1.0)(output, None), peer, **TOLERANCE)


@pytest.mark.parametrize("loss", [NTXent(0.35), SupCon(0.35), SupConIn(0.35)], ids=lambda loss: type(loss).__name__)
def test_a_scale_multiplies_the_mean_by_what_the_published_code_does(loss):
    output, labels = draw(6, 2, 4)
    mean = loss(output, labels)
    for scale, factor in (("times_tau", 0.35), ("tau_over_base", 5.0), ("sum_of_halves", 2.0)):
        torch.testing.assert_close(replace(loss, loss_scale=scale)(output, labels), factor * mean, **TOLERANCE)


@pytest.mark.parametrize("loss", [NTXent(0.1), SupCon(0.1), SupConIn(0.1), GeneralizedContrastive(0.1, 0.5)], ids=repr)
def test_an_option_switched_off_is_the_same_value_as_one_not_named(loss):
    switches = {"NTXent": ("include_self",), "GeneralizedContrastive": ("include_self",)}
    for switch in switches.get(type(loss).__name__, ("mean_over_valid", "first_view")):
        assert replace(loss, **{switch: False}) == loss
        assert fingerprint(replace(loss, **{switch: False})) == fingerprint(loss) != fingerprint(replace(loss, **{switch: True}))
