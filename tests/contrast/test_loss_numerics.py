"""What every loss must do as arithmetic: right derivatives, finite numbers, full precision, no regard for order or length.

In float64 and to 1e-12 unless a test says otherwise. How losses refuse wrong values stands at the end.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from contrast.component import UserError
from contrast.losses import CrossEntropy, GeneralizedContrastive, NTXent, SupCon, SupConIn, similarity

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
CONTRASTIVE = [NTXent(0.3), SupCon(0.3), SupConIn(0.3), GeneralizedContrastive(0.3, 0.1)]
ids = [type(loss).__name__ for loss in CONTRASTIVE]


def draw(n: int, v: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(n, v, d, dtype=torch.float64, generator=generator) * 3
    return output, torch.randint(0, 3, (n,), generator=generator)


@pytest.mark.parametrize("loss", CONTRASTIVE, ids=ids)
def test_first_and_second_derivatives_agree_with_finite_differences_over_several_blocks(loss, monkeypatch):
    """Steps of 1e-6, relative tolerance 1e-3 and absolute 1e-5 (torch's defaults); blocks of 3 rows out of 10."""
    monkeypatch.setattr(similarity, "_BLOCK", 30)
    output, labels = draw(5, 2, 3)
    output.requires_grad_()
    assert gradcheck(lambda x: loss(x, labels), output)
    assert gradgradcheck(lambda x: loss(x, labels), output)


@pytest.mark.parametrize("loss", CONTRASTIVE, ids=ids)
def test_the_block_size_does_not_change_the_loss(loss, monkeypatch):
    output, labels = draw(9, 2, 4)
    whole = loss(output, labels)
    for block in (1, 40, 18 * 18 - 1):
        monkeypatch.setattr(similarity, "_BLOCK", block)
        torch.testing.assert_close(loss(output, labels), whole, **TOLERANCE)


@pytest.mark.parametrize("tau", [1e-3, 0.01, 1.0, 1e4])
@pytest.mark.parametrize("make", [NTXent, SupCon, SupConIn, lambda tau: GeneralizedContrastive(tau, 0.1)], ids=ids)
def test_loss_and_both_derivatives_stay_finite_in_float32(make, tau):
    """At extreme temperatures, on collapsed, opposite and zero embeddings, huge and tiny ones."""
    random = draw(4, 2, 3)[0].float()
    half_zero = random.clone()
    half_zero[:2] = 0
    for output in (random, random * 1e6, random * 1e-9, torch.ones(4, 2, 3), torch.zeros(4, 2, 3), half_zero):
        x = output.clone().requires_grad_()
        value = make(tau)(x, torch.tensor([0, 0, 1, 2]))
        (first,) = torch.autograd.grad(value, x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        assert value.isfinite()
        assert first.isfinite().all()
        assert second.isfinite().all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**20), n=st.integers(1, 9), which=st.sampled_from(CONTRASTIVE))
def test_gradients_move_with_images_and_views_and_nothing_depends_on_their_order(seed, n, which):
    output, labels = draw(n, 2, 4, seed)
    generator = torch.Generator().manual_seed(seed)
    order, renamed = torch.randperm(n, generator=generator), torch.tensor([2, 0, 1])[labels]
    x, moved = output.clone().requires_grad_(), output[order].flip(1).requires_grad_()
    before, after = which(x, labels), which(moved, renamed[order])
    before.backward()
    after.backward()
    torch.testing.assert_close(after, before, **TOLERANCE)
    torch.testing.assert_close(moved.grad, x.grad[order].flip(1), **TOLERANCE)


@pytest.mark.parametrize("loss", CONTRASTIVE, ids=ids)
def test_only_angles_matter(loss):
    output, labels = draw(6, 2, 4)
    rotation = torch.linalg.qr(draw(4, 1, 4, seed=5)[0][:, 0])[0]
    lengths = torch.rand(6, 2, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    torch.testing.assert_close(loss(output @ rotation * lengths, labels), loss(output, labels), **TOLERANCE)


@pytest.mark.parametrize("loss", [*CONTRASTIVE, CrossEntropy()], ids=[*ids, "CrossEntropy"])
def test_a_loss_is_computed_in_float32_whatever_the_network_ran_in(loss):
    output, labels = draw(6, 2, 4)
    low = output.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(low, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(low.float(), labels))
    assert loss(output, labels).dtype == torch.float64


@pytest.mark.parametrize("make", [NTXent, SupCon, SupConIn, lambda tau: GeneralizedContrastive(tau, 0.1)], ids=ids)
@pytest.mark.parametrize("tau", [0.0, -0.5, math.inf, math.nan])
def test_a_temperature_that_is_not_above_zero_is_refused_by_name(make, tau):
    with pytest.raises(UserError, match=r"temperature = .*must be above 0"):
        make(tau)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: GeneralizedContrastive(0.5, -0.1), "distribution_weight = -0.1: must be 0 or above"),
        (lambda: GeneralizedContrastive(0.5, 0.1, scale=0.0), "scale = 0.0: must be above 0"),
        (lambda: SupCon(0.5)(torch.ones(2, 2, 3), None), "SupCon needs the class of every image"),
        (lambda: SupConIn(0.5)(torch.ones(2, 2, 3), None), "SupConIn needs the class of every image"),
        (lambda: CrossEntropy()(torch.ones(2, 2, 3), None), "CrossEntropy needs the class of every image"),
        (lambda: NTXent(0.5)(torch.ones(2, 1, 3), None), "NTXent compares 2 or more"),
        (lambda: GeneralizedContrastive(0.5, 0.1)(torch.ones(2, 3, 3), None), "GeneralizedContrastive aligns 2"),
    ],
)
def test_a_mistake_is_refused_with_its_cure(call, text):
    with pytest.raises(UserError, match=text):
        call()


def test_a_loss_without_constants_reports_none():
    assert NTXent(0.07).temperature == 0.07
    assert NTXent(0.07).constants(128) == {}
