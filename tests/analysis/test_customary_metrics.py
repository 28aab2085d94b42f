"""Metrics of the data sets of transfer against scikit-learn where it computes the same, closed forms, and a devkit written out."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, precision_recall_curve, top_k_accuracy_score

from analysis import Accuracy, MeanAveragePrecision, MeanPerClass, TopK
from analysis.accuracy.mean_average_precision import average_precision, mean_average_precision
from analysis.accuracy.mean_per_class import mean_per_class
from analysis.accuracy.top_k import top_k
from contrast.component import UserError
from contrast.data.dataset import IGNORED, Dataset


def scored(n=300, classes=7, seed=0):
    draws = torch.Generator().manual_seed(seed)
    outputs = torch.randn(n, classes, dtype=torch.float64, generator=draws)
    labels = torch.randint(0, classes, (2, n), generator=draws).amin(dim=0)  # classes of unequal size
    outputs[torch.arange(n), labels] += 1
    return outputs, labels


def test_mean_per_class_is_scikit_learns_balanced_accuracy():
    outputs, labels = scored()
    assert mean_per_class(outputs, labels) == pytest.approx(100 * balanced_accuracy_score(labels, outputs.argmax(1)))


def test_each_class_counts_alike_in_the_mean_per_class():
    labels = torch.tensor([0] * 90 + [1] * 9 + [3])  # nothing of class 2
    outputs = torch.nn.functional.one_hot(torch.tensor([0] * 90 + [0] * 6 + [1] * 3 + [3]), 4).double()
    assert mean_per_class(outputs, labels) == pytest.approx(100 * (1 + 1 / 3 + 1) / 3)


@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_top_k_is_scikit_learns(k):
    outputs, labels = scored()
    assert top_k(outputs, labels, k) == pytest.approx(100 * top_k_accuracy_score(labels, outputs, k=k, labels=range(7)))


def test_top_k_of_equal_outputs_is_no_gift():
    outputs, labels = torch.zeros(8, 4, dtype=torch.float64), torch.arange(4).repeat(2)
    assert [top_k(outputs, labels, k) for k in (1, 2, 3, 4)] == [25, 50, 75, 100]


def devkit(scores, shown):
    """VOCevalcls of VOC 2007, written out: the area under the precision, at 11 recalls, of images in order of score."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    right = np.cumsum(np.asarray(shown)[order])
    wrong = np.cumsum(~np.asarray(shown)[order])
    recall, precision = right / right[-1], right / (right + wrong)
    return sum(max(precision[recall >= point / 10], default=0) / 11 for point in range(11))


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_the_devkit_and_of_scikit_learns_curve(seed):
    draws = torch.Generator().manual_seed(seed)
    shown = torch.rand(97, generator=draws) < 0.3
    scores = torch.randn(97, dtype=torch.float64, generator=draws) + shown
    value = average_precision(scores, shown)
    assert value == pytest.approx(devkit(scores.numpy(), shown.numpy()))
    precision, recall, _ = precision_recall_curve(shown.numpy(), scores.numpy())
    judged = recall > 0  # its last point, a recall of 0 with a precision of 1, is no image's
    peer = np.mean([max(precision[judged & (recall >= point / 10 - 1e-12)], default=0) for point in range(11)])
    assert value == pytest.approx(peer)


def test_average_precision_by_hand():
    """Found at ranks 1, 3 and 6 of 6: recalls 1/3, 2/3, 1 with precisions 1, 2/3, 1/2."""
    shown = torch.tensor([True, False, True, False, False, True])
    scores = torch.tensor([6.0, 5, 4, 3, 2, 1], dtype=torch.float64)
    assert average_precision(scores, shown) == pytest.approx((4 * 1 + 3 * 2 / 3 + 4 * 1 / 2) / 11)
    assert average_precision(-scores, ~shown) == pytest.approx(devkit(-scores.numpy(), ~shown.numpy()))


def test_a_recall_is_reached_exactly():
    """3 of 10 found is a recall of 0.3, though 3 * 0.1 is more than 0.3 in floating point."""
    shown = torch.tensor([True] * 3 + [False] * 7 + [True] * 7)
    scores = -torch.arange(17, dtype=torch.float64)
    assert average_precision(scores, shown) == pytest.approx((4 + 7 * 10 / 17) / 11)


def test_equal_scores_are_taken_together_so_that_the_order_of_images_does_not_matter():
    draws = torch.Generator().manual_seed(0)
    shown = torch.rand(60, generator=draws) < 0.4
    scores = torch.randint(0, 5, (60,), generator=draws).double()
    value = average_precision(scores, shown)
    for seed in range(5):
        order = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
        assert average_precision(scores[order], shown[order]) == value
    assert average_precision(torch.zeros(60, dtype=torch.float64), shown) == pytest.approx(shown.double().mean().item())


def test_what_is_left_open_counts_in_neither_way_and_unseen_classes_are_left_out():
    targets = torch.tensor([[1, 0, 0], [IGNORED, 1, 0], [0, 1, 0], [1, 0, IGNORED]], dtype=torch.uint8)
    outputs = torch.tensor([[3.0, 0, 1], [9, 2, 1], [2, 3, 1], [1, 1, 1]], dtype=torch.float64)
    first = devkit([3, 2, 1], np.array([True, False, True]))
    assert mean_average_precision(outputs, targets) == pytest.approx(100 * (first + 1) / 2)
    assert math.isnan(mean_average_precision(outputs, torch.zeros_like(targets)))


@dataclass(frozen=True)
class Shown(Dataset):
    """Blobs of which each shows its class, and every third one the next class too."""

    name = "shown"
    shape, mean, std, class_count = (3, 6, 6), (0.5, 0.4, 0.3), (0.25, 0.2, 0.3), 4
    multi_label = True
    blobs: Dataset | None = None

    def load(self, root):
        images = replace(self.blobs, part=self.part).load(root)
        targets = np.eye(4, dtype=np.uint8)[images.labels]
        targets[::3] |= np.eye(4, dtype=np.uint8)[(images.labels[::3] + 1) % 4]
        return images._replace(targets=targets)


def test_measures_score_the_logits_of_the_network(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net)
    pixels, labels = lab.workspace.pixels(data)
    with torch.no_grad():
        logits = conv_net(pixels).double()
    assert lab.run(MeanPerClass(stage, on=data))[0] == {"mean_per_class": pytest.approx(mean_per_class(logits, labels))}
    assert lab.run(TopK(stage, on=data, k=2))[0] == {"top_2": pytest.approx(top_k(logits, labels, 2))}
    assert lab.run(TopK(stage, on=data, k=1))[0]["top_1"] == lab.run(Accuracy(stage, on=data))[0]["accuracy"]
    several = Shown(blobs=blobs()).held_out("confirm")
    targets = torch.from_numpy(several.load(None).targets)
    found, _ = lab.run(MeanAveragePrecision(stage, on=several))
    assert found == {"map": pytest.approx(mean_average_precision(logits, targets))}
    assert found["map"] > 100 * targets.double().mean().item()


def test_what_cannot_be_scored_is_refused(lab, blobs, tuned, conv_net):
    stage = lab.put(tuned(blobs()), conv_net)
    for k in (0, 5):
        with pytest.raises(UserError, match=rf"TopK\.k = {k}: must be from 1 to 4, the classes of the data"):
            TopK(stage, on=blobs(), k=k)
    for make in (MeanPerClass, TopK):
        with pytest.raises(UserError, match=r"\.of = .*2 classes, and its network has 4 outputs"):
            lab.run(make(stage, on=blobs(classes=(0, 1)), **({"k": 1} if make is TopK else {})))
    several = Shown(blobs=blobs())
    object.__setattr__(several, "load", blobs().load)
    with pytest.raises(UserError, match=r"Shown: its images have no targets"):
        lab.run(MeanAveragePrecision(stage, on=several))
