"""DrLIM, triplets, N-pairs and the large-margin classifier against their definitions in loops, and pytorch-metric-learning.

In float64 and to 1e-10 unless a test says otherwise; squared distances come from inner products.
"""

import math

import pytest
import torch
from pytorch_metric_learning.distances import DotProductSimilarity, LpDistance
from pytorch_metric_learning.losses import NTXentLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor
from torch.nn import functional

from contrast.losses import (
    BatchHardTriplet,
    DistanceWeightedTriplet,
    DrLIM,
    HardExampleTriplet,
    MaxMargin,
    NPairs,
    SemiHardTriplet,
    Triplet,
)

TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}
BALANCED = torch.tensor([0, 1, 2, 0, 1, 2])


def draw(n: int, v: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(n, v, d, dtype=torch.float64, generator=generator)
    return output, torch.randint(0, 3, (n,), generator=generator)


def distances(output: Tensor, labels: Tensor) -> tuple[Tensor, list[list[int]], list[list[int]]]:
    """Squared distances on the sphere, and the positives and the negatives of each view."""
    z = functional.normalize(output.flatten(0, 1), dim=1)
    y = labels.repeat_interleave(output.shape[1]).tolist()
    squared = (z[:, None] - z).square().sum(-1)
    rows = range(len(y))
    return squared, [[p for p in rows if y[p] == y[i] and p != i] for i in rows], [[n for n in rows if y[n] != y[i]] for i in rows]


def costs(output: Tensor, labels: Tensor, margin: float) -> list[list[Tensor]]:
    """Of every triplet, anchor by anchor."""
    squared, positives, negatives = distances(output, labels)
    return [
        [(squared[i, p] - squared[i, n] + margin).clamp_min(0) for p in ps for n in ns]
        for i, (ps, ns) in enumerate(zip(positives, negatives, strict=True))
    ]


@pytest.mark.parametrize("similar", ["class", "image"])
def test_dr_lim_pulls_similar_pairs_and_pushes_dissimilar_ones_within_the_margin(similar):
    output, labels = draw(5, 2, 3)
    rows, kinds = output.flatten(0, 1), (labels if similar == "class" else torch.arange(5)).repeat_interleave(2)
    paid = []
    for i in range(10):
        for j in range(i):
            distance = (rows[i] - rows[j]).norm()
            paid.append(distance**2 / 2 if kinds[i] == kinds[j] else (2.0 - distance).clamp_min(0) ** 2 / 2)
    torch.testing.assert_close(DrLIM(2.0, similar)(output, labels), torch.stack(paid).mean(), **TOLERANCE)


def test_dr_lim_leaves_dissimilar_pairs_beyond_the_margin_alone():
    """D >= m costs nothing and pulls nothing; a similar pair costs D^2 / 2 at any distance."""
    pair = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]]], dtype=torch.float64, requires_grad=True)
    apart = DrLIM(5.0)(pair, torch.tensor([0, 1]))
    apart.backward()
    assert apart.item() == pytest.approx(0, abs=1e-20)
    assert pair.grad.abs().max() < 1e-9
    assert DrLIM(5.0)(pair, torch.tensor([0, 0])).item() == pytest.approx(12.5)
    assert DrLIM(6.0)(pair, torch.tensor([0, 1])).item() == pytest.approx(0.5)


@pytest.mark.parametrize("v", [1, 2])
def test_the_triplet_loss_is_the_mean_over_all_triplets(v):
    output, labels = draw(7, v, 4)
    every = [cost for anchor in costs(output, labels, 0.4) for cost in anchor]
    torch.testing.assert_close(Triplet(0.4)(output, labels), torch.stack(every).mean(), **TOLERANCE)


def test_the_triplet_loss_and_its_gradient_are_pytorch_metric_learnings_with_squared_distances():
    output, labels = draw(7, 2, 4)
    ours, theirs = output.clone().requires_grad_(), output.clone().requires_grad_()
    peer = TripletMarginLoss(margin=0.4, distance=LpDistance(power=2), reducer=MeanReducer())
    mine, other = Triplet(0.4)(ours, labels), peer(theirs.flatten(0, 1), labels.repeat_interleave(2))
    torch.testing.assert_close(mine, other, **TOLERANCE)
    torch.testing.assert_close(torch.autograd.grad(mine, ours), torch.autograd.grad(other, theirs), **TOLERANCE)


def test_the_triplet_loss_grows_with_its_margin_by_the_share_of_active_triplets():
    output, labels = draw(7, 2, 4)
    every = [cost for anchor in costs(output, labels, 0.4) for cost in anchor]
    slope = (Triplet(0.4 + 1e-7)(output, labels) - Triplet(0.4)(output, labels)) / 1e-7
    assert slope.item() * len(every) == pytest.approx(sum(bool(cost > 0) for cost in every), abs=1e-3)


def test_a_perfect_order_costs_nothing_without_a_margin_and_the_margin_beyond_its_gap():
    aligned = torch.eye(3, dtype=torch.float64)[BALANCED][:, None].repeat(1, 2, 1)
    for loss in (Triplet, BatchHardTriplet, SemiHardTriplet, HardExampleTriplet):
        assert loss(0.0)(aligned, BALANCED).item() == 0
        assert loss(2.5)(aligned, BALANCED).item() == pytest.approx(0.5)  # squared distances are 0 and 2
    assert DistanceWeightedTriplet(2.5, farthest=2.0)(aligned, BALANCED).item() == pytest.approx(0.5)
    assert DistanceWeightedTriplet(2.5)(aligned, BALANCED).item() == 0  # no negative within 1.4


def test_batch_hard_takes_the_farthest_positive_and_the_nearest_negative_as_pytorch_metric_learning_does():
    output, labels = draw(7, 2, 4)
    rows, y = output.flatten(0, 1), labels.repeat_interleave(2)
    triplets = BatchHardMiner()(rows, y)
    peer = TripletMarginLoss(margin=0.4, distance=LpDistance(power=2), reducer=MeanReducer())(rows, y, triplets)
    torch.testing.assert_close(BatchHardTriplet(0.4)(output, labels), peer, **TOLERANCE)


def test_semi_hard_takes_the_nearest_negative_beyond_the_positive_or_else_the_farthest():
    output, labels = draw(7, 2, 4)
    squared, positives, negatives = distances(output, labels)
    paid = []
    for i, ps in enumerate(positives):
        for p in ps:
            beyond = [squared[i, n] for n in negatives[i] if squared[i, n] > squared[i, p]]
            chosen = min(beyond) if beyond else max(squared[i, n] for n in negatives[i])
            paid.append((squared[i, p] - chosen + 0.4).clamp_min(0))
    torch.testing.assert_close(SemiHardTriplet(0.4)(output, labels), torch.stack(paid).mean(), **TOLERANCE)


def test_hard_examples_are_the_anchors_that_cost_most_and_all_of_them_are_the_triplet_loss():
    output, _ = draw(6, 2, 4)
    means = torch.stack([torch.stack(anchor).mean() for anchor in costs(output, BALANCED, 0.4)])
    for keep, kept in ((0.5, 6), (0.3, 4), (0.01, 1)):
        torch.testing.assert_close(HardExampleTriplet(0.4, keep)(output, BALANCED), means.topk(kept).values.mean(), **TOLERANCE)
    torch.testing.assert_close(HardExampleTriplet(0.4, 1.0)(output, BALANCED), Triplet(0.4)(output, BALANCED), **TOLERANCE)


@pytest.mark.parametrize("d", [3, 4, 16])
def test_distance_weighted_negatives_weigh_as_one_over_the_density_of_distances(d):
    """q(D) = D^(d-2) (1 - D^2 / 4)^((d-3) / 2), D clipped to 0.5 from below; the gradient holds the weights fixed."""
    output, labels = draw(7, 2, d)
    ours, theirs = output.clone().requires_grad_(), output.clone().requires_grad_()
    squared, positives, negatives = distances(theirs, labels)
    paid = []
    for i, ps in enumerate(positives):
        within = [n for n in negatives[i] if squared[i, n] <= 1.4**2]
        clipped = [max(0.5, math.sqrt(squared[i, n].item())) for n in within]
        weights = [1 / (x ** (d - 2) * (1 - x * x / 4) ** ((d - 3) / 2)) for x in clipped]
        for p in ps if within else []:
            each = [w * (squared[i, p] - squared[i, n] + 0.4).clamp_min(0) for w, n in zip(weights, within, strict=True)]
            paid.append(sum(each) / sum(weights))
    mine, other = DistanceWeightedTriplet(0.4)(ours, labels), torch.stack(paid).mean()
    torch.testing.assert_close(mine, other, **TOLERANCE)
    torch.testing.assert_close(torch.autograd.grad(mine, ours), torch.autograd.grad(other, theirs), **TOLERANCE)


def test_n_pairs_tells_a_pair_from_all_others_by_raw_inner_products():
    output, _ = draw(6, 2, 4)
    rows, images = output.flatten(0, 1), torch.arange(6).repeat_interleave(2)
    peer = NTXentLoss(temperature=1.0, distance=DotProductSimilarity(normalize_embeddings=False))(rows, images)
    torch.testing.assert_close(NPairs()(output, None), peer, **TOLERANCE)
    lengths = rows.square().sum(1).mean()
    torch.testing.assert_close(NPairs(0.3)(output, None), peer + 0.3 * lengths, **TOLERANCE)


def test_n_pairs_with_one_view_pairs_the_images_of_each_class_in_whatever_order():
    output, _ = draw(6, 1, 4)
    order = torch.tensor([0, 3, 1, 4, 2, 5])
    paired = output[:, 0][order].view(3, 2, 4)  # BALANCED has class 0 at 0 and 3, class 1 at 1 and 4, class 2 at 2 and 5
    torch.testing.assert_close(NPairs()(output, BALANCED), NPairs()(paired, None), **TOLERANCE)


def test_the_large_margin_classifier_pays_for_the_best_rival():
    output, labels = draw(5, 2, 3)
    paid = []
    for image, y in zip(output, labels.tolist(), strict=True):
        for f in image.tolist():
            paid.append(max(0.0, 1.5 + max(score for c, score in enumerate(f) if c != y) - f[y]))
    assert MaxMargin(1.5)(output, labels).item() == pytest.approx(sum(paid) / 10, rel=1e-12)


def test_the_large_margin_classifier_of_two_classes_is_twice_torchs():
    output, labels = draw(8, 1, 2)
    peer = functional.multi_margin_loss(output[:, 0], labels % 2, margin=1.5)
    torch.testing.assert_close(MaxMargin(1.5)(output, labels % 2), 2 * peer, **TOLERANCE)
