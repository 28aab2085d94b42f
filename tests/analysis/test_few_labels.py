"""Few labels against scikit-learn on the very same ones; who is drawn follows from ids, and nothing of the test part chooses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from analysis import FewLabels, LinearProbe
from analysis.accuracy.few_labels import share_of_each_class
from contrast import Digits, SmallResNet, Untrained, random
from contrast.component import UserError

GRID = (1e-3, 1e-1)


def test_accuracies_are_those_of_scikit_learn_on_the_same_labels(lab, blobs, tuned, conv_net):
    fit, held = blobs().fit("search"), blobs().held_out("confirm")
    stage = lab.put(tuned(fit), conv_net)
    results, arrays = lab.run(FewLabels(stage, data=fit, on=held, fractions=(0.1, 0.5, 1.0), draws=3, l2=GRID, seed=4))
    x, shown = (lab.workspace.features(lab.workspace.model(stage), data).double().numpy() for data in (fit, held))
    images, truth = lab.workspace.images(fit), lab.workspace.images(held).labels
    assert arrays["labels"].tolist() == [16, 72, 144]
    for i, fraction in enumerate((0.1, 0.5, 1.0)):
        for draw in range(3 if fraction < 1 else 1):
            order = random.permutation(4, "few labels", images.ids, epoch=draw)
            rows = share_of_each_class(torch.from_numpy(images.labels), order, fraction).numpy()
            centre, scale = x[rows].mean(0), np.sqrt(((x[rows] - x[rows].mean(0)) ** 2).mean())
            peer = LogisticRegression(C=1 / (len(rows) * arrays["l2"][i, draw]), tol=1e-10, max_iter=5000)
            peer.fit((x[rows] - centre) / scale, images.labels[rows])
            assert arrays["draws"][i, draw] == pytest.approx(100 * peer.score((shown - centre) / scale, truth)), (fraction, draw)
    assert list(results) == ["labels_10", "labels_50", "labels_100", "sd_10", "sd_50", "sd_100", "unconverged"]
    assert [results[f"labels_{p}"] for p in (10, 50, 100)] == pytest.approx(arrays["draws"].mean(axis=1).tolist())
    assert [results[f"sd_{p}"] for p in (10, 50, 100)] == pytest.approx(arrays["draws"].std(axis=1, ddof=1).tolist())
    assert results["labels_100"] == lab.run(LinearProbe(stage, data=fit, on=held, l2=GRID))[0]["accuracy"], "all labels are one draw"
    assert results["sd_100"] == 0


def test_the_l2_is_chosen_without_the_data_that_are_scored(lab, blobs, tuned, conv_net):
    fit = blobs().fit("search")
    stage = lab.put(tuned(fit), conv_net)
    scored = (blobs().held_out("confirm"), blobs().held_out("search"))
    chosen = [lab.run(FewLabels(stage, data=fit, on=on, fractions=(0.2,), draws=3))[1]["l2"] for on in scored]
    assert np.array_equal(*chosen)


def test_labels_are_drawn_by_id_equally_of_each_class_and_nested():
    y, ids = torch.arange(300) % 3, np.arange(300) + 1000
    order = random.permutation(0, "few labels", ids, epoch=1)
    few, more = (share_of_each_class(y, order, fraction) for fraction in (0.1, 0.4))
    assert y[few].bincount().tolist() == [10, 10, 10]
    assert set(few.tolist()) < set(more.tolist())
    turned = np.random.default_rng(0).permutation(300)
    again = share_of_each_class(y[turned], random.permutation(0, "few labels", ids[turned], epoch=1), 0.1)
    assert set(ids[turned][again.numpy()]) == set(ids[few.numpy()]), "whatever the order of the rows"
    other = share_of_each_class(y, random.permutation(0, "few labels", ids, epoch=2), 0.1)
    assert set(few.tolist()) != set(other.tolist())


def test_a_constant_feature_gives_chance(lab, blobs, tuned, linear_net):
    fit, held = blobs().fit("search"), blobs().held_out("confirm")
    stage = lab.put(tuned(fit), linear_net)
    for data, count in ((fit, 144), (held, 80)):
        lab.workspace.memory.features[stage, data] = torch.ones(count, 6)
    assert lab.run(FewLabels(stage, data=fit, on=held, fractions=(0.1, 1.0), draws=2))[0]["labels_10"] == 25


def test_fractions_that_leave_a_class_without_a_label_are_refused_before_any_training():
    net, digits = Untrained(data=Digits(), encoder=SmallResNet(4), seed=0), Digits(per_class=40)

    def size(data):
        return len(data.load(None).labels)

    FewLabels(net, data=digits, on=Digits(part="test"), fractions=(0.1, 1.0)).check(size)
    with pytest.raises(UserError, match=r"fraction = 0\.01: leaves class 0, of 40 images, without one"):
        FewLabels(net, data=digits, on=Digits(part="test")).check(size)
    one = FewLabels(net, data=digits, on=Digits(part="test"), fractions=(0.025, 1.0))
    with pytest.raises(UserError, match=r"FewLabels\.fractions = .*leave 10 labels, and 10 classes and 15 l2 need 11"):
        one.check(size)
    replace(one, l2=(0.1,)).check(size)


def test_few_labels_checks_its_fields(blobs, tuned):
    stage, fit, held = tuned(blobs()), blobs().fit("search"), blobs().held_out("search")
    for change in (
        *({"fractions": fractions} for fractions in ((), (0.0, 1.0), (0.5, 1.5), (0.5, 0.1), (0.1, 0.1))),
        *({"draws": 0}, {"l2": ()}, {"seed": -1}, {"data": held}, {"data": replace(fit, fraction=0.5)}, {"data": blobs(classes=(0, 1))}),
    ):
        with pytest.raises(UserError, match=rf"FewLabels\.{next(iter(change))} = "):
            FewLabels(stage, **{"data": fit, "on": held, **change})
