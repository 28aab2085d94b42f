"""Core-tuning computed again: on a batch made by hand, by loops in float64, in its limits, and as its official code errs (PROTOCOL 7.2)."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from contrast import CoreTuning, MLPHead, SupCon, UserError
from contrast.augmentations.draws import Draws
from contrast.finetuning.focal_contrast import among_own, focal_contrast, official_numbers
from contrast.finetuning.hard_mixing import (
    beta_shares,
    hard_negatives,
    hard_positives,
    mined,
    mined_as_official,
    partners,
    strict_partners,
)
from contrast.losses.supervised_contrastive import NOBODY

F64 = torch.float64


def angles(*degrees):
    turned = torch.tensor(degrees, dtype=F64) * math.pi / 180
    return torch.stack([turned.cos(), turned.sin()], 1)


# On a circle: of class 0 the samples 0, 1, 2 at 0, 50 and 20 degrees; of class 1 the samples 3, 4 at 60 and 290; sample 5 is alone.
TOY = angles(0, 50, 20, 60, 290, 180) * torch.tensor([[1.0], [2.0], [0.5], [3.0], [1.0], [1.0]], dtype=F64)
LABELS = torch.tensor([0, 0, 0, 1, 1, 2])


def draws(count, seed=0):
    return Draws(seed, np.arange(count), 1, 1)


def batch(seed=0, n=12, d=5, classes=4, dtype=F64):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=draw, dtype=dtype), torch.arange(n) % classes


def identity(x):
    return x


def test_the_hardest_positive_has_the_lowest_cosine_and_the_hardest_negative_the_highest():
    pairs = mined(TOY, LABELS)
    assert pairs.positive.tolist() == [1, 0, 1, 4, 3, 5]  # one that is alone in its class has itself
    assert pairs.negative.tolist() == [3, 3, 3, 1, 0, 4]


def test_a_share_of_one_leaves_the_hardest_positive_and_the_partner():
    features, labels = batch()
    pairs, one = mined(features, labels), torch.ones(12, 1, dtype=F64)
    plus = hard_positives(features, labels, 4, pairs, one)
    assert torch.equal(plus.features, features[pairs.positive])
    assert torch.equal(plus.shares.argmax(1), labels[pairs.positive])
    other = partners(labels, draws(12))
    minus = hard_negatives(features, labels, 4, other, one)
    assert torch.equal(minus.features, features[other])
    raised = hard_negatives(features, labels, 4, other, 0 * one)
    torch.testing.assert_close(raised.features, 0.2 * features + 0.8 * features[other])
    torch.testing.assert_close(raised.shares.sum(1), torch.ones(12, dtype=F64))


def test_four_in_five_uniform_shares_stand_at_the_least():
    """Beta(1, 1): within 3 standard errors of 80 %."""
    shares = beta_shares(draws(10_000), "hard negative", 1.0, torch.zeros(1, dtype=F64))
    below = (shares < 0.8).double().mean().item()
    assert abs(below - 0.8) < 3 * math.sqrt(0.16 / 10_000)


def test_strict_partners_are_of_another_class_and_all_of_those_are_as_likely():
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    counts = torch.zeros(6, 6)
    for seed in range(2000):
        found = strict_partners(labels, draws(6, seed))
        assert (labels[found] != labels).all()
        counts[torch.arange(6), found] += 1
    other = labels[:, None] != labels
    expected = 2000 * other / other.sum(1, keepdim=True)
    assert ((counts - expected).abs() <= 4 * expected.clamp_min(1).sqrt()).all()


def test_the_official_mining_finds_itself_nine_times_in_ten_where_features_are_not_negative():
    """64 samples of 10 classes with 32 absolute normal features, 50 batches: 90.7 % itself, 9.3 % another class, 0.2 % the true one."""
    draw, found = torch.Generator().manual_seed(0), {"itself": 0.0, "other class": 0.0, "true": 0.0, "signed": 0.0}
    for _ in range(50):
        features, labels = torch.randn(64, 32, generator=draw), torch.randint(10, (64,), generator=draw)
        official, true = mined_as_official(features.abs(), labels).positive, mined(features.abs(), labels).positive
        found["itself"] += (official == torch.arange(64)).double().mean().item() * 2
        found["other class"] += (labels[official] != labels).double().mean().item() * 2
        found["true"] += (official == true).double().mean().item() * 2  # of those that are alone in their class it is themselves
        found["signed"] += (mined_as_official(features, labels).positive == mined(features, labels).positive).double().mean().item() * 2
    assert found["itself"] == pytest.approx(90.7, abs=1)
    assert found["other class"] == pytest.approx(9.3, abs=1)
    assert found["true"] == pytest.approx(0.2, abs=0.15)
    assert found["signed"] == pytest.approx(95.6, abs=1)


def test_without_mixtures_and_weights_it_is_supcon_of_one_view():
    """1e-12 relative, value and gradient."""
    features, labels = batch()
    features.requires_grad_(True)
    ours = focal_contrast(*among_own(features, None, labels, 0.2), focal=False)
    theirs = SupCon(0.2)(features[:, None], labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    slopes = [torch.autograd.grad(loss, features)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-14)


def test_the_weight_of_a_perfect_pair_is_0():
    similar = torch.tensor([[NOBODY, 80.0, 0.0]], dtype=F64)
    positive = torch.tensor([[False, True, False]])
    assert focal_contrast(similar, positive) == 0
    even = torch.tensor([[NOBODY, 1.0, 1.0]], dtype=F64)
    torch.testing.assert_close(focal_contrast(even, positive).item(), 0.5 * math.log(2))


def test_gradients_go_through_the_weights_unless_they_are_detached():
    features, labels = batch()
    features.requires_grad_(True)
    similar, positive = among_own(features, None, labels, 0.5)
    through, without = (
        torch.autograd.grad(focal_contrast(similar, positive, True, off), features, retain_graph=True)[0] for off in (False, True)
    )
    log_p = functional.log_softmax(similar, 1)
    by_hand = -torch.where(positive, (1 - log_p.exp()).detach() * log_p, 0).sum(1) / positive.sum(1)
    torch.testing.assert_close(without, torch.autograd.grad(by_hand.mean(), features)[0], rtol=1e-10, atol=1e-14)
    assert not torch.allclose(through, without)


def by_loops(method, features, labels, classes, weight, contrast_weight):
    """The paper's loss of a linear classifier and a linear contrastor, term by term."""
    plus, minus = method.mixed(features, labels, classes, draws(len(labels)))
    logits = features @ weight.T
    images = -np.mean([functional.log_softmax(logits[i], 0)[labels[i]].item() for i in range(len(labels))])
    made = [
        -(shares * functional.log_softmax(z @ weight.T, 0)).sum().item() for each in (plus, minus) for z, shares in zip(*each, strict=True)
    ]
    unit = [functional.normalize(z @ contrast_weight.T, dim=1) for z in (features, plus.features, minus.features)]
    total = 0.0
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if j != i]
        rows = [*(unit[0][j] for j in others), unit[1][i], unit[2][i]]
        scores = torch.stack([unit[0][i] @ row / method.temperature for row in rows])
        p = torch.softmax(scores, 0)
        positives = [k for k, j in enumerate(others) if labels[j] == labels[i]] + [len(others)]
        total += -sum((1 - p[k]) * p[k].log() for k in positives).item() / len(positives)
    return images + np.mean(made) + method.eta * total / len(labels)


def test_the_loss_is_the_papers_term_by_term():
    """1e-10 relative, in float64."""
    features, labels = batch(1)
    draw = torch.Generator().manual_seed(2)
    weight, contrast_weight = (torch.randn(rows, 5, generator=draw, dtype=F64) for rows in (4, 3))
    method = CoreTuning(0.7, 0.5, 0.3)
    ours = method.of_features(features, labels, draws(12), lambda z: z @ weight.T, lambda z: z @ contrast_weight.T)
    assert ours.item() == pytest.approx(by_loops(method, features, labels, 4, weight, contrast_weight), rel=1e-10)


def test_the_official_membership_is_the_official_codes_loss():
    """All 3 B rows are anchors, positives share the number of their soft label, divided by 3 B and averaged over those with positives."""
    features, labels = batch(3)
    method = CoreTuning(1.0, 0.5, 0.3, membership="official", normalization="columns", pooled=True, mining="official")
    plus, minus = method.mixed(features, labels, 4, draws(12))
    rows = torch.cat([features, plus.features, minus.features])
    shares = torch.cat([functional.one_hot(labels, 4).to(F64), plus.shares, minus.shares])
    smooth = functional.cross_entropy(rows[:, :4], shares)
    z = functional.normalize(rows, dim=1)
    numbers = (shares.float() @ torch.tensor([[1.0], [10.0], [100.0], [1000.0]]))[:, 0].tolist()
    total, valid = 0.0, 0
    for i in range(36):
        p = torch.softmax(torch.stack([z[i] @ z[j] / 0.3 if j != i else torch.tensor(-torch.inf, dtype=F64) for j in range(36)]), 0)
        positives = [j for j in range(36) if j != i and numbers[j] == numbers[i]]
        total += -sum((1 - p[j]) * p[j].log() for j in positives).item() / 36 if positives else 0.0
        valid += bool(positives)
    ours = method.of_features(features, labels, draws(12), lambda f: f[:, :4], identity)
    assert ours.item() == pytest.approx(smooth.item() + total / valid, rel=1e-10)


def test_detached_images_teach_the_encoder_by_their_mixtures_alone():
    features, labels = batch(4)
    features.requires_grad_(True)
    CoreTuning(0.0, detached=True).of_features(features, labels, draws(12), lambda z: z[:, :4], identity).backward()
    first = features.grad.clone()
    plus, minus = CoreTuning().mixed(features, labels, 4, draws(12))
    made = torch.cat([plus.features, minus.features])
    mixtures = functional.cross_entropy(made[:, :4], torch.cat([plus.shares, minus.shares]))
    torch.testing.assert_close(first, torch.autograd.grad(mixtures, features)[0])


def test_official_numbers_take_some_different_labels_for_one():
    """Of the 100 labels 0.8 a + 0.2 b of ten classes 96 numbers are left in float32; 0.8 * 9 + 0.2 * {0, 1, 2} are one."""
    shares = torch.zeros(100, 10)
    for a in range(10):
        for b in range(10):
            shares[10 * a + b, a] += 0.8
            shares[10 * a + b, b] += 0.2
    numbers = official_numbers(shares)
    assert len(numbers.unique()) == 96
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(official_numbers(shares), numbers)
    assert numbers[90] == numbers[91] == numbers[92]


def test_more_classes_than_the_official_numbers_tell_apart_are_refused():
    with pytest.raises(UserError, match=r"CoreTuning\.membership = 'official': tells at most 18 classes apart, and the task has 19"):
        CoreTuning(membership="official").check(64, 1, 19)


@pytest.mark.parametrize("method", [CoreTuning(), CoreTuning(membership="official")], ids=repr)
@pytest.mark.parametrize("labels", [[0], [1, 1, 1]])
def test_without_another_class_nothing_is_mixed_and_the_loss_is_finite(method, labels):
    features = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = method.of_features(features, torch.tensor(labels), draws(len(labels)), lambda z: z[:, :3], MLPHead(0).build(5, 3, None))
    loss.backward()
    assert loss.isfinite()
    assert features.grad.isfinite().all()
