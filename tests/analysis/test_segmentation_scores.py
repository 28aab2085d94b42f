"""Scores from one confusion matrix agree with scikit-learn's, with cases by hand, and add up over batches."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, recall_score

from analysis.accuracy.confusion import class_iou, class_recall, confusion_matrix, segmentation_scores


def drawn(seed, n=500, classes=5, present=5):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, present, n)), torch.from_numpy(rng.integers(0, present, n)), classes


def counted(truth, predicted, classes):
    return confusion_matrix(truth, predicted, classes, 255).numpy()


@pytest.mark.parametrize("present", [5, 3])
def test_iou_and_recall_are_those_of_scikit_learn(present):
    """Of the classes that are there; for those that are not it says 0 or 1, as asked for, and we say nothing."""
    truth, predicted, classes = drawn(0, present=present)
    confusion = counted(truth, predicted, classes)
    labels = list(range(present))
    np.testing.assert_allclose(class_iou(confusion)[:present], jaccard_score(truth, predicted, average=None, labels=labels), rtol=1e-12)
    np.testing.assert_allclose(class_recall(confusion)[:present], recall_score(truth, predicted, average=None, labels=labels), rtol=1e-12)
    assert np.isnan(class_iou(confusion)[present:]).all()
    scores = segmentation_scores(confusion)
    assert scores["miou"] == pytest.approx(100 * jaccard_score(truth, predicted, average="macro", labels=labels), rel=1e-12)
    assert scores["fwiou"] == pytest.approx(100 * jaccard_score(truth, predicted, average="weighted", labels=labels), rel=1e-12)


@pytest.mark.parametrize("present", [5, 3])
def test_scores_are_those_of_torchmetrics(present):
    """At 1e-7, with pixels that have no class. Classes that are neither there nor predicted are told to it, since it counts them as 0."""
    from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score, multiclass_jaccard_index

    truth, predicted, classes = drawn(3, n=4000, present=present)
    masked = torch.where(torch.arange(4000) % 7 == 0, 255, truth)
    confusion = counted(masked, predicted, classes)
    kept = {"target": masked, "preds": predicted, "num_classes": classes, "ignore_index": 255}
    known = slice(present)
    iou, dice, recall = (
        score(**kept, average="none").double()[known].numpy()
        for score in (multiclass_jaccard_index, multiclass_f1_score, multiclass_accuracy)
    )
    np.testing.assert_allclose(class_iou(confusion)[known], iou, atol=1e-7)
    scores = segmentation_scores(confusion)
    expected = {"miou": iou.mean(), "dice": dice.mean(), "mpa": recall.mean(), "pa": float(multiclass_accuracy(**kept, average="micro"))}
    assert {name: scores[name] / 100 for name in expected} == pytest.approx(expected, abs=1e-7)
    assert np.isnan(class_iou(confusion)[present:]).all()


def test_a_case_by_hand():
    """Classes 0, 1, 2 with 4, 2 and 0 pixels; one of class 0 is taken for 1 and one for 2, one of class 1 for 0."""
    confusion = np.array([[2, 1, 1], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(class_iou(confusion), [2 / 5, 1 / 3, 0])
    np.testing.assert_allclose(class_recall(confusion), [1 / 2, 1 / 2, np.nan])
    scores = segmentation_scores(confusion)
    expected = {"miou": 100 * (2 / 5 + 1 / 3) / 3, "mpa": 50, "fwiou": 100 * (4 / 6 * 2 / 5 + 2 / 6 * 1 / 3)}
    assert scores == pytest.approx(expected | {"dice": 100 * (4 / 7 + 1 / 2) / 3, "pa": 50})


def test_what_is_perfect_has_a_hundred_percent_whichever_classes_are_absent():
    truth = torch.tensor([0, 0, 3, 7, 7, 7])
    assert segmentation_scores(counted(truth, truth, 21)) == dict.fromkeys(("miou", "mpa", "fwiou", "dice", "pa"), 100)


def test_all_background_has_the_score_of_its_share():
    """Share s of C classes: IoU is s for the background and 0 for the others."""
    truth = torch.tensor([0] * 6 + [1] * 3 + [2])
    scores = segmentation_scores(counted(truth, torch.zeros(10, dtype=torch.long), 3))
    expected = {"miou": 100 * 0.6 / 3, "mpa": 100 / 3, "fwiou": 100 * 0.6 * 0.6, "dice": 100 * 0.75 / 3, "pa": 60}
    assert scores == pytest.approx(expected)


def test_what_has_no_class_does_not_count_and_batches_add_up():
    truth, predicted, classes = drawn(1)
    ignored = torch.from_numpy(np.random.default_rng(2).random(500) < 0.3)
    masked = torch.where(ignored, 255, truth).to(torch.uint8)
    whole = counted(masked, predicted, classes)
    assert np.array_equal(whole, counted(truth[~ignored], predicted[~ignored], classes))
    assert np.array_equal(whole, sum(counted(masked[i : i + 70], predicted[i : i + 70], classes) for i in range(0, 500, 70)))
    nothing = segmentation_scores(counted(torch.full((4,), 255), torch.zeros(4, dtype=torch.long), 3))
    assert all(np.isnan(value) for value in nothing.values())
