"""Measures of other measures' results: feature suppression by its definition, domains that are left out by hand."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
from sklearn.metrics import confusion_matrix, recall_score

from analysis import KNN, Accuracy, ClassIoU, Confusion, FeatureSuppression, LeftOut, LinearProbe, Segmentation
from contrast import PACS, VLCS, Digits, Finetune, MaskFolder, Segment, SmallResNet, Untrained, leave_one_out
from contrast.component import UserError
from contrast.model import Artefact
from search_spaces.random_bits import RandomBitsBeside

NET = Untrained(data=Digits(), encoder=SmallResNet(4), seed=0)
TEST = Digits(part="test")


def probe(number):
    return LinearProbe(replace(NET, seed=number), data=Digits(), on=TEST)


def shelved(lab, accuracies):
    """Probes that have found these accuracies."""
    probes = [probe(number) for number in range(len(accuracies))]
    lab.shelf |= {one: Artefact(lab.folder, {"accuracy": accuracy, "l2": 1.0}) for one, accuracy in zip(probes, accuracies, strict=True)}
    return probes


def test_the_index_is_the_share_of_what_training_gave_that_is_lost(lab):
    *at, without, untrained = shelved(lab, [90.0, 60.0, 20.0, 5.0, 90.0, 10.0])
    results, arrays = lab.run(FeatureSuppression(tuple(at), without=without, untrained=untrained, levels=(0, 5, 10, 20)))
    index = [0, 30 / 80, 70 / 80, 85 / 80]
    assert arrays["index"] == pytest.approx(np.array(index))
    assert arrays["level"].tolist() == [0, 5, 10, 20]
    area = 5 * (index[0] + index[1]) / 2 + 5 * (index[1] + index[2]) / 2 + 10 * (index[2] + index[3]) / 2
    assert results == pytest.approx(
        {"suppression": area / 20, **{f"index_{b}": i for b, i in zip((0, 5, 10, 20), index, strict=True)}, "without": 90, "untrained": 10}
    )
    assert next(iter(results)) == "suppression"
    alone_again = lab.run(FeatureSuppression((at[1],), without=without, untrained=untrained, levels=(5,)))[0]
    assert alone_again["suppression"] == alone_again["index_5"] == pytest.approx(30 / 80)


def test_nothing_is_said_where_training_has_not_helped(lab):
    *at, without, untrained = shelved(lab, [50.0, 40.0, 60.0, 60.0])
    results, _ = lab.run(FeatureSuppression(tuple(at), without=without, untrained=untrained, levels=(1, 2)))
    assert np.isnan([results["suppression"], results["index_1"], results["index_2"]]).all()


def test_feature_suppression_checks_its_fields():
    given = {"of": (probe(0), probe(1)), "without": probe(2), "untrained": probe(3), "levels": (0, 5)}
    FeatureSuppression(**given)
    for change, field in (
        ({"of": probe(0)}, "of"),
        ({"of": (NET, NET)}, "of"),
        ({"without": KNN(NET, on=TEST)}, "of"),
        ({"untrained": NET}, "of"),
        ({"levels": (1, 2, 3)}, "levels"),
        ({"levels": (5, 0)}, "levels"),
    ):
        with pytest.raises(UserError, match=rf"FeatureSuppression\.{field} = "):
            FeatureSuppression(**{**given, **change})


def accuracy(task, part="test"):
    return Accuracy(Finetune(NET, data=replace(task, part="whole"), seed=0), on=replace(task, part=part))


def test_left_out_domains_have_their_mean_and_their_worst(lab):
    tasks = leave_one_out(PACS)
    measures = tuple(accuracy(task) for task in tasks.values())
    lab.shelf |= {
        one: Artefact(lab.folder, {"accuracy": value, "loss": 1.0}) for one, value in zip(measures, (80.0, 70, 95, 55), strict=True)
    }
    expected = {"average": 75.0, "worst": 55.0, **dict(zip(tasks, (80.0, 70, 95, 55), strict=True))}
    assert lab.run(LeftOut(measures))[0] == expected
    for of, rule in (
        (measures[0], "tuple of Accuracy"),
        ((probe(0),), "tuple of Accuracy"),
        ((accuracy(Digits()),), "tuple of Accuracy"),
        ((measures[0], measures[0]), "each domain out once"),
        ((measures[0], accuracy(next(iter(leave_one_out(VLCS).values())))), "one data set"),
        ((measures[0], accuracy(tasks["sketch"], "held_out")), "one part"),
    ):
        with pytest.raises(UserError, match=rf"LeftOut\.of = .*{rule}"):
            LeftOut(of)


STREETS = MaskFolder(images="streets", count=3, side=16)
SEGMENTATION = Segmentation(Segment(NET, data=STREETS, seed=0), on=STREETS)


def test_the_classes_of_a_segmentation_are_read_as_it_kept_them(lab):
    confusion, iou = np.array([[6, 2, 2], [1, 4, 0], [0, 0, 0]]), np.array([6 / 11, 4 / 7, 0])
    np.savez(lab.folder / "arrays.npz", confusion=confusion, iou=iou)
    lab.shelf[SEGMENTATION] = Artefact(lab.folder, {"miou": 1.0})
    found, arrays = lab.run(ClassIoU(SEGMENTATION))
    assert found == pytest.approx({"worst": 0, "iou_0": 600 / 11, "iou_1": 400 / 7, "iou_2": 0})
    assert np.array_equal(arrays["iou"], iou)
    found, arrays = lab.run(Confusion(SEGMENTATION))
    assert found == pytest.approx({"worst_recall": 60, "confused": 20, "class_0": 60, "class_1": 80, "class_2": np.nan}, nan_ok=True)
    assert np.array_equal(arrays["confusion"], confusion)


def test_the_confusion_of_a_classifier_is_that_of_scikit_learn(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net)
    results, arrays = lab.run(Confusion(stage, on=data))
    pixels, labels = lab.workspace.pixels(data)
    predicted = conv_net(pixels).argmax(dim=1)
    assert np.array_equal(arrays["confusion"], confusion_matrix(labels, predicted))
    assert [results[f"class_{label}"] for label in range(4)] == pytest.approx(100 * recall_score(labels, predicted, average=None))
    for make, field in (
        (lambda: Confusion(stage), "on"),
        (lambda: Confusion(SEGMENTATION, on=data), "on"),
        (lambda: ClassIoU(stage), "of"),
    ):
        with pytest.raises(UserError, match=rf"\.{field} = "):
            make()


def test_a_space_of_random_bits_asks_for_the_index_of_what_it_trains():
    space = RandomBitsBeside(bits=(0, 3), of=Digits(), epochs=1, batch_size=64)
    stages = space(optuna.trial.FixedTrial({"temperature": 0.1}), 5, "search")
    assert list(stages) == ["suppression", "accuracy/0", "accuracy/3"]
    index = stages["suppression"]
    assert index.of == (stages["accuracy/0"], stages["accuracy/3"])
    assert index.without == stages["accuracy/0"], "one training serves both"
    assert [probe.data.bits for probe in index.of] == [0, 3]
    assert stages["accuracy/3"].on == replace(stages["accuracy/3"].data, part="held_out")
