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
from contrast.losses import (
    AlignmentUniformity,
    BatchHardTriplet,
    CrossEntropy,
    CrossView,
    DistanceWeightedTriplet,
    DrLIM,
    GeneralizedContrastive,
    HardExampleTriplet,
    MaxMargin,
    NPairs,
    NTXent,
    SemiHardTriplet,
    SlicedWasserstein,
    SupCon,
    SupConIn,
    Triplet,
    similarity,
)
from contrast.losses.temperature import HIGHEST, LOWEST

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
ANGULAR = [
    *(NTXent(0.3), NTXent(0.3, include_self=True), CrossView(0.3), AlignmentUniformity(), AlignmentUniformity(alpha=1.0, t=3.0)),
    *(SupCon(0.3), SupCon(0.3, denominator="one_positive"), SupCon(0.3, denominator="only_negatives", mean_over_valid=True)),
    *(SupConIn(0.3), SupConIn(0.3, denominator="one_positive", mean_over_valid=True), SupConIn(0.3, denominator="only_negatives")),
    *(GeneralizedContrastive(0.3, 0.1), GeneralizedContrastive(0.3, 0.1, include_self=True)),
    *(Triplet(0.5), BatchHardTriplet(0.5), SemiHardTriplet(0.5), HardExampleTriplet(0.5, keep=0.6), DistanceWeightedTriplet(0.5)),
]
RAW = [SlicedWasserstein("sphere", 0.5), SlicedWasserstein("cube", 0.5), SlicedWasserstein("normal", 0.5), DrLIM(2.0), NPairs(0.1)]
CONTRASTIVE = [*ANGULAR, *RAW]
ids = [repr(loss) for loss in CONTRASTIVE]
AT_TEMPERATURE = [
    *(NTXent, CrossView, SupCon, SupConIn, lambda tau: GeneralizedContrastive(tau, 0.1)),
    *(
        lambda tau: SupCon(tau, denominator="one_positive"),
        lambda tau: SupConIn(tau, denominator="only_negatives"),
        lambda tau: NTXent(tau, include_self=True),
    ),
]
temperature_ids = ["NTXent", "CrossView", "SupCon", "SupConIn", "Generalized", "one positive", "only negatives", "include self"]


def draw(n: int, v: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(n, v, d, dtype=torch.float64, generator=generator) * 3
    return output, torch.randint(0, 3, (n,), generator=generator)


@pytest.mark.parametrize("loss", [loss for loss in CONTRASTIVE if not isinstance(loss, DistanceWeightedTriplet)], ids=repr)
def test_first_and_second_derivatives_agree_with_finite_differences_over_several_blocks(loss, monkeypatch):
    """Steps of 1e-6, relative tolerance 1e-3 and absolute 1e-5 (torch's defaults), along random directions; blocks of 3 rows out
    of 10. `DistanceWeightedTriplet` has weights that are not differentiated; its gradient has a test of its own."""
    monkeypatch.setattr(similarity, "_BLOCK", 30)
    output, labels = draw(5, 2, 3)
    output.requires_grad_()
    assert gradcheck(lambda x: loss(x, labels), output, fast_mode=True)
    assert gradgradcheck(lambda x: loss(x, labels), output, fast_mode=True)


@pytest.mark.parametrize("loss", CONTRASTIVE, ids=ids)
def test_the_block_size_does_not_change_the_loss(loss, monkeypatch):
    output, labels = draw(9, 2, 4)
    whole = loss(output, labels)
    for block in (1, 40, 18 * 18 - 1):
        monkeypatch.setattr(similarity, "_BLOCK", block)
        torch.testing.assert_close(loss(output, labels), whole, **TOLERANCE)


@pytest.mark.parametrize("tau", [LOWEST, 0.01, 1.0, HIGHEST])
@pytest.mark.parametrize("make", AT_TEMPERATURE, ids=temperature_ids)
def test_loss_and_both_derivatives_stay_finite_in_float32(make, tau):
    """At extreme temperatures, on collapsed, opposite and zero embeddings, huge and tiny ones."""
    random = draw(4, 2, 3)[0].float()
    half_zero = random.clone()
    half_zero[:2] = 0
    for output in (random, random * 1e6, random * 1e-9, torch.ones(4, 2, 3), torch.zeros(4, 2, 3), half_zero):
        assert_finite(make(tau), output)


def assert_finite(loss, output: Tensor, labels: Tensor = torch.tensor([0, 0, 1, 2])):
    """Of the loss and of its first and second derivatives."""
    x = output.clone().requires_grad_()
    value = loss(x, labels)
    (first,) = torch.autograd.grad(value, x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x) if first.requires_grad else (torch.zeros_like(x),)
    assert value.isfinite()
    assert value.dtype == torch.float32
    assert first.isfinite().all()
    assert second.isfinite().all()


@pytest.mark.parametrize("loss", [*CONTRASTIVE, MaxMargin()], ids=repr)
def test_a_loss_stays_finite_where_views_coincide_or_vanish(loss):
    random = draw(4, 2, 3)[0].float()
    same_views = random[:, :1].repeat(1, 2, 1)
    for output in (
        random,
        random * 1e-9,
        same_views,
        torch.ones(4, 2, 3),
        torch.zeros(4, 2, 3),
        torch.stack((random[:, 0], -random[:, 0]), 1),
    ):
        assert_finite(loss, output)


@pytest.mark.parametrize("tau", [LOWEST, 0.03, 1.0, HIGHEST])
@pytest.mark.parametrize("make", AT_TEMPERATURE, ids=temperature_ids)
def test_temperatures_at_the_ends_of_their_range_are_finite_in_bfloat16_and_close_to_float32(make, tau):
    """Outputs of a network in bfloat16 have 8 bits: cosines are right to 1 %, the loss to 2 % of 1 / tau, what tau is not in to 1e-3."""
    output, labels = draw(6, 2, 4)
    low = output.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = make(tau)(low, labels)
    value.backward()
    assert low.grad.isfinite().all()
    assert value.item() == pytest.approx(make(tau)(output, labels).item(), abs=0.02 / tau + 1e-3)
    for collapsed in (torch.ones(4, 2, 3), torch.zeros(4, 2, 3)):
        assert_finite(make(tau), collapsed.bfloat16().float())


@pytest.mark.parametrize("make", AT_TEMPERATURE, ids=temperature_ids)
def test_at_the_lowest_temperature_loss_and_gradient_are_right_to_a_hundredth(make):
    """In float32 against float64, of rows from a network in bfloat16 that have nearly collapsed, so that every other row counts."""
    generator = torch.Generator().manual_seed(0)
    rows = (torch.randn(1, 1, 64, generator=generator) + 0.01 * torch.randn(40, 2, 64, generator=generator)).bfloat16()
    low, full = rows.float().requires_grad_(), rows.double().requires_grad_()
    values = [make(LOWEST)(x, torch.arange(40) % 5) for x in (low, full)]
    for value in values:
        value.backward()
    assert values[0].item() == pytest.approx(values[1].item(), rel=0.01, abs=1e-3)
    assert (low.grad - full.grad).norm() < 0.01 * full.grad.norm()


@pytest.mark.parametrize("loss", [*CONTRASTIVE, MaxMargin()], ids=repr)
def test_a_batch_of_one_class_or_without_positives_or_of_one_image_is_finite(loss):
    output = draw(4, 2, 3)[0].float()
    for rows, labels in ((output, torch.zeros(4, dtype=torch.int64)), (output, torch.arange(4) % 3), (output[:1], torch.tensor([1]))):
        assert_finite(loss, rows, labels)


@pytest.mark.parametrize(
    "loss",
    [*(Triplet(0.5), BatchHardTriplet(0.5), SemiHardTriplet(0.5), HardExampleTriplet(0.5), DistanceWeightedTriplet(0.5))],
    ids=repr,
)
def test_without_negatives_or_without_positives_a_triplet_loss_is_zero_and_has_a_gradient_of_zero(loss):
    for views, labels in ((2, torch.zeros(4, dtype=torch.int64)), (1, torch.arange(4))):
        output = draw(4, views, 3)[0].requires_grad_()
        value = loss(output, labels)
        value.backward()
        assert value.item() == 0
        assert not output.grad.any()


@pytest.mark.parametrize("cls", [SupCon, SupConIn])
def test_anchors_that_do_not_count_are_zeros_in_the_mean_or_left_out_of_it(cls):
    """An anchor without positives; for `only_negatives` also one without negatives; for `one_positive` that one costs 0 anyway."""
    output, _ = draw(4, 1, 3)
    labels = torch.tensor([0, 0, 1, 2])
    torch.testing.assert_close(cls(0.3, mean_over_valid=True)(output, labels), 2 * cls(0.3)(output, labels), **TOLERANCE)
    alone = torch.arange(4)
    assert cls(0.3, mean_over_valid=True)(output, alone).item() == cls(0.3)(output, alone).item() == 0
    one_class = torch.zeros(4, dtype=torch.int64)
    assert (
        cls(0.3, denominator="only_negatives")(output, one_class).item()
        == cls(0.3, denominator="one_positive")(output, one_class).item()
        == 0
    )


@settings(deadline=None, max_examples=60)
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


@pytest.mark.parametrize("loss", [*ANGULAR, *RAW[3:]], ids=repr)
def test_only_angles_matter_or_only_distances_where_lengths_count(loss):
    """Lengths are drawn where they shall not matter; priors other than the sphere's and finite samples of them have directions."""
    output, labels = draw(6, 2, 4)
    rotation = torch.linalg.qr(draw(4, 1, 4, seed=5)[0][:, 0])[0]
    lengths = torch.rand(6, 2, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    lengths = torch.ones_like(lengths) if loss in RAW else lengths
    torch.testing.assert_close(loss(output @ rotation * lengths, labels), loss(output, labels), **TOLERANCE)


@pytest.mark.parametrize("loss", [*CONTRASTIVE, CrossEntropy(), MaxMargin()], ids=repr)
def test_a_loss_is_computed_in_float32_whatever_the_network_ran_in(loss):
    output, labels = draw(6, 2, 4)
    low = output.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(low, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(low.float(), labels))
    assert loss(output, labels).dtype == torch.float64


@pytest.mark.parametrize("make", AT_TEMPERATURE, ids=temperature_ids)
@pytest.mark.parametrize("tau", [0.0, -0.5, LOWEST * 0.99, HIGHEST * 1.01, math.inf, math.nan])
def test_a_temperature_out_of_its_range_is_refused_by_name(make, tau):
    with pytest.raises(UserError, match=r"^\w+\.temperature = .*: must be from 0\.0001 to 1e\+06, .*\. Usual values are"):
        make(tau)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: GeneralizedContrastive(0.5, -0.1), "distribution_weight = -0.1: must be 0 or above"),
        (lambda: GeneralizedContrastive(0.5, 0.1, scale=0.0), "scale = 0.0: must be above 0"),
        (lambda: SupCon(0.5)(torch.ones(2, 2, 3), None), "SupCon needs the class of every image"),
        (lambda: SupConIn(0.5)(torch.ones(2, 2, 3), None), "SupConIn needs the class of every image"),
        (lambda: SupCon(0.5, cap=-2), "SupCon.cap = -2: must be 0 or above"),
        (lambda: SupConIn(0.5, surplus="negatives"), "SupConIn.surplus = 'negatives': has no effect without a cap"),
        (
            lambda: SupCon(0.5, cap=3)(torch.ones(2, 2, 3), torch.zeros(2, dtype=torch.int64)),
            "cap = 3: must be a multiple of the 2 views. Use 2",
        ),
        (
            lambda: SupCon(0.5, denominator="positives"),
            "SupCon.denominator = 'positives': must be 'one_positive' or 'only_negatives' or None",
        ),
        (lambda: NTXent(0.5, loss_scale="sum"), "NTXent.loss_scale = 'sum': must be"),
        (lambda: CrossView(0.5)(torch.ones(2, 3, 3), None), "CrossView compares 2"),
        (lambda: DrLIM(0.0), "DrLIM.margin = 0.0: must be above 0"),
        (lambda: DrLIM()(torch.ones(2, 2, 3), None), "DrLIM needs the class of every image"),
        (lambda: Triplet(-1.0), "Triplet.margin = -1.0: must be 0 or above"),
        (lambda: BatchHardTriplet(math.inf), "BatchHardTriplet.margin = inf: must be 0 or above"),
        (lambda: SemiHardTriplet(-1.0), "SemiHardTriplet.margin = -1.0: must be 0 or above"),
        (lambda: Triplet()(torch.ones(2, 2, 3), None), "Triplet needs the class of every image"),
        (lambda: HardExampleTriplet(keep=0.0), "HardExampleTriplet.keep = 0.0: must be above 0"),
        (lambda: HardExampleTriplet(-1.0), "HardExampleTriplet.margin = -1.0: must be 0 or above"),
        (lambda: DistanceWeightedTriplet(nearest=1.5), "DistanceWeightedTriplet.nearest = 1.5: must lie between 0 and farthest"),
        (lambda: DistanceWeightedTriplet(farthest=2.5), "DistanceWeightedTriplet.farthest = 2.5: must be at most 2"),
        (lambda: DistanceWeightedTriplet(-1.0), "DistanceWeightedTriplet.margin = -1.0: must be 0 or above"),
        (lambda: NPairs(-1.0), "NPairs.length_weight = -1.0: must be 0 or above"),
        (lambda: NPairs()(torch.ones(2, 3, 3), None), "NPairs takes 1 or 2"),
        (lambda: NPairs()(torch.ones(4, 1, 3), torch.tensor([0, 0, 0, 1])), "two images of each class, and a batch has classes of 1 to 3"),
        (lambda: MaxMargin(0.0), "MaxMargin.margin = 0.0: must be above 0"),
        (lambda: MaxMargin()(torch.ones(2, 2, 3), None), "MaxMargin needs the class of every image"),
        (lambda: AlignmentUniformity(alpha=0.0), "AlignmentUniformity.alpha = 0.0: must be above 0"),
        (lambda: AlignmentUniformity(t=0.0), "AlignmentUniformity.t = 0.0: must be above 0"),
        (lambda: AlignmentUniformity(uniformity_weight=-1.0), "AlignmentUniformity.uniformity_weight = -1.0: must be 0 or above"),
        (lambda: AlignmentUniformity(alignment_weight=0.0, uniformity_weight=0.0), "must not both be 0"),
        (lambda: AlignmentUniformity()(torch.ones(2, 1, 3), None), "AlignmentUniformity aligns 2 or more"),
        (lambda: SlicedWasserstein("ball", 0.1), "SlicedWasserstein.prior = 'ball': must be 'sphere' or 'cube' or 'normal'"),
        (lambda: SlicedWasserstein("cube", -0.1), "SlicedWasserstein.distribution_weight = -0.1: must be 0 or above"),
        (lambda: SlicedWasserstein("cube", 0.1, scale=0.0), "SlicedWasserstein.scale = 0.0: must be above 0"),
        (lambda: SlicedWasserstein("cube", 0.1, draw=-1), "SlicedWasserstein.draw = -1: must be 0 or above"),
        (lambda: SlicedWasserstein("cube", 0.1)(torch.ones(2, 3, 3), None), "SlicedWasserstein aligns 2"),
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
