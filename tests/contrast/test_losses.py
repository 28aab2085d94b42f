"""Losses against closed forms, a float64 double loop written from the definition, and two peers.

Every comparison is in float64 and to 1e-12 unless a test says otherwise; embeddings are random, so any wrong sign, mask,
average or normalisation shows in the second digit.
"""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import NTXentLoss, SupConLoss
from torch import Tensor
from torch.nn import functional

from contrast.losses import CrossEntropy, GeneralizedContrastive, NTXent, SupCon, SupConIn

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


def draw(n: int, v: int, d: int, seed: int = 0, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(n, v, d, dtype=torch.float64, generator=generator) * 3
    return output, torch.randint(0, classes, (n,), generator=generator)


def by_definition(output: Tensor, labels: Tensor, tau: float, *, log_outside: bool) -> Tensor:
    """SupCon, one anchor, one positive, one exponential at a time."""
    z, y = output.flatten(0, 1), labels.repeat_interleave(output.shape[1]).tolist()
    z = z / z.norm(dim=1, keepdim=True)
    total = torch.zeros((), dtype=z.dtype)
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        partition = sum(torch.exp(z[i] @ z[a] / tau) for a in others)
        shares = [torch.exp(z[i] @ z[p] / tau) / partition for p in others if y[p] == y[i]]
        if shares and log_outside:
            total = total - sum(share.log() for share in shares) / len(shares)
        elif shares:
            total = total - (sum(shares) / len(shares)).log()
    return total / len(z)


@pytest.mark.parametrize("loss", [NTXent(0.07), SupCon(0.07), SupConIn(0.07)], ids=lambda loss: type(loss).__name__)
def test_a_collapsed_batch_costs_the_logarithm_of_the_number_of_others(loss):
    for n, v in product((1, 2, 7), (2, 3)):
        output = torch.ones(n, v, 5, dtype=torch.float64)
        expected = torch.tensor(math.log(v * n - 1), dtype=torch.float64)
        torch.testing.assert_close(loss(output, torch.arange(n)), expected, **TOLERANCE)


@pytest.mark.parametrize("tau", [0.07, 0.5, 2.0])
def test_orthogonal_images_with_identical_views_have_the_closed_form(tau):
    output = torch.eye(6, dtype=torch.float64)[:, None].repeat(1, 2, 1) * 4
    expected = torch.tensor(-1 / tau + math.log(math.exp(1 / tau) + 2 * 5), dtype=torch.float64)
    torch.testing.assert_close(NTXent(tau)(output, None), expected, **TOLERANCE)


def test_nt_xent_is_cross_entropy_of_the_masked_similarities_with_the_other_view_as_class():
    output, _ = draw(8, 2, 5)
    z = functional.normalize(output, dim=-1).flatten(0, 1)
    logits = (z @ z.T / 0.3).masked_fill(torch.eye(16, dtype=torch.bool), -torch.inf)
    other_view = torch.arange(16) ^ 1  # rows 2i and 2i + 1 are the views of image i
    torch.testing.assert_close(NTXent(0.3)(output, None), functional.cross_entropy(logits, other_view), **TOLERANCE)


@pytest.mark.parametrize(("n", "v"), [(2, 2), (7, 1), (7, 2), (5, 3)])
def test_sup_con_out_and_in_follow_their_definition(n, v):
    output, labels = draw(n, v, 4, seed=n)
    torch.testing.assert_close(SupCon(0.3)(output, labels), by_definition(output, labels, 0.3, log_outside=True), **TOLERANCE)
    torch.testing.assert_close(SupConIn(0.3)(output, labels), by_definition(output, labels, 0.3, log_outside=False), **TOLERANCE)


@pytest.mark.parametrize("v", [2, 3, 4])
def test_sup_con_with_a_class_an_image_is_nt_xent(v):
    output, _ = draw(6, v, 4)
    torch.testing.assert_close(SupCon(0.2)(output, torch.arange(6)), NTXent(0.2)(output, None), **TOLERANCE)


def test_nt_xent_and_sup_con_agree_with_pytorch_metric_learning():
    output, labels = draw(9, 2, 6)
    rows, images = output.flatten(0, 1), torch.arange(9).repeat_interleave(2)
    torch.testing.assert_close(NTXent(0.2)(output, None), NTXentLoss(temperature=0.2)(rows, images), **TOLERANCE)
    peer = SupConLoss(temperature=0.2)(rows, labels.repeat_interleave(2))
    torch.testing.assert_close(SupCon(0.2)(output, labels), peer, **TOLERANCE)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**20), n=st.integers(2, 8), v=st.integers(2, 3), tau=st.floats(0.05, 5))
def test_the_logarithm_outside_is_never_below_the_logarithm_inside(seed, n, v, tau):
    output, labels = draw(n, v, 3, seed, classes=2)
    assert SupCon(tau)(output, labels) >= SupConIn(tau)(output, labels) - 1e-12


def test_out_and_in_are_equal_where_all_positives_are_equally_similar():
    directions = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 2]][:, None].repeat(1, 2, 1)
    labels = torch.tensor([0, 0, 1, 2])
    torch.testing.assert_close(SupCon(0.3)(directions, labels), SupConIn(0.3)(directions, labels), **TOLERANCE)


@pytest.mark.parametrize("log_outside", [True, False])
def test_the_gradient_is_softmax_minus_positive_weights_on_the_tangent_space(log_outside):
    """For anchor i, d L_i / d s_ij = P_ij - X_ij: X is 1/|P| (out) or the softmax over the positives (in)."""
    (output, labels), tau = draw(6, 2, 4), 0.4
    output.requires_grad_()
    loss = (SupCon if log_outside else SupConIn)(tau)
    (gradient,) = torch.autograd.grad(loss(output, labels), output)

    rows, y = output.detach().flatten(0, 1), labels.repeat_interleave(2)
    length = rows.norm(dim=1, keepdim=True)
    z = rows / length
    others = ~torch.eye(12, dtype=torch.bool)
    positive = (y[:, None] == y) & others
    weights = (z @ z.T / tau).exp()
    share = weights * others / (weights * others).sum(1, keepdim=True)
    kind = torch.ones_like(weights) if log_outside else weights
    by_similarity = share - kind * positive / (kind * positive).sum(1, keepdim=True)
    on_sphere = (by_similarity + by_similarity.T) @ z / tau / 12
    tangent = on_sphere - (on_sphere * z).sum(1, keepdim=True) * z
    torch.testing.assert_close(gradient.flatten(0, 1), tangent / length, **TOLERANCE)
    assert (gradient.flatten(0, 1) * z).sum(1).abs().max() < 1e-12


def test_one_positive_and_one_negative_make_a_softplus_of_squared_distances():
    """L = softplus((|a - p|^2 - |a - n|^2) / 2 tau); the third sample has no positive and counts as zero in the mean."""
    output, tau = draw(3, 1, 5)[0], 0.3
    a, p, n = functional.normalize(output[:, 0], dim=-1)
    near, far, crossed = ((a - p) ** 2).sum(), ((a - n) ** 2).sum(), ((p - n) ** 2).sum()
    softplus = functional.softplus((near - far) / (2 * tau)) + functional.softplus((near - crossed) / (2 * tau))
    for loss in (SupCon(tau), SupConIn(tau)):
        torch.testing.assert_close(loss(output, torch.tensor([0, 0, 1])), softplus / 3, **TOLERANCE)


@pytest.mark.parametrize(("tau", "d"), [(0.07, 4), (0.5, 16), (1.0, 3)])
def test_generalized_contrastive_at_weight_tau_over_d_is_tau_times_nt_xent(tau, d):
    output, _ = draw(8, 2, d)
    loss = GeneralizedContrastive(tau, tau / d)
    torch.testing.assert_close(d * loss(output, None) - 1, tau * NTXent(tau)(output, None), **TOLERANCE)
    assert loss.constants(d)["lambda_eff"] == pytest.approx(1)
    assert GeneralizedContrastive(0.2, 0.05).constants(128) == pytest.approx({"lambda_eff": 32.0})
    scaled = GeneralizedContrastive(tau, tau / d, scale=d / tau)
    torch.testing.assert_close(scaled(output, None) - 1 / tau, NTXent(tau)(output, None), **TOLERANCE)


def test_generalized_contrastive_of_weight_zero_is_alignment_alone():
    output, _ = draw(8, 2, 4)
    z = functional.normalize(output, dim=-1)
    expected = ((z[:, 0] - z[:, 1]) ** 2).sum() / (2 * 8 * 4)
    torch.testing.assert_close(GeneralizedContrastive(0.3, 0.0)(output, None), expected, **TOLERANCE)


@pytest.mark.parametrize("v", [1, 2, 3])
def test_cross_entropy_gives_every_view_the_label_of_its_image(v):
    output, labels = draw(5, v, 3)
    each = [-output[i, k].log_softmax(0)[labels[i]] for i in range(5) for k in range(v)]
    torch.testing.assert_close(CrossEntropy()(output, labels), torch.stack(each).mean(), **TOLERANCE)


def test_a_large_temperature_makes_all_others_equally_likely():
    """The first order in 1 / tau is left: 1e-6 at tau = 1e6."""
    output, labels = draw(5, 2, 4)
    for loss in (NTXent(1e6), SupCon(1e6), SupConIn(1e6)):
        assert loss(output, labels).item() == pytest.approx(math.log(9), abs=1e-5)
