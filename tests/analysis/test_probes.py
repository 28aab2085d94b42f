"""Probes of frozen features against scikit-learn and brute force; the accuracy of a classifier against its definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from analysis import KNN, Accuracy, FewLabels, KNNCurve, LinearProbe, TransformProbe
from analysis.subset import stratified
from contrast.component import UserError
from contrast.heads import MLPHead
from contrast.model import Net
from contrast.signals import knn_accuracy, knn_predictions, knn_predictions_by_k


def clouds(n, d=12, classes=5, seed=0, spread=1.5):
    draws = torch.Generator().manual_seed(seed)
    means = torch.randn(classes, d, dtype=torch.float64, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(n) % classes
    return means[labels] + spread * torch.randn(n, d, dtype=torch.float64, generator=draws), labels


@pytest.mark.parametrize("k", [1, 5, 20, 200])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_knn_predicts_as_scikit_learn_with_the_same_weights(k, temperature):
    bank, bank_labels = clouds(400)
    queries, labels = clouds(150, seed=1)
    peer = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=lambda distance: np.exp((1 - distance) / temperature))
    expected = peer.fit(bank.numpy(), bank_labels.numpy()).predict(queries.numpy())
    predicted = knn_predictions(queries, bank, bank_labels, k, temperature)
    assert np.array_equal(predicted.numpy(), expected)
    accuracy = knn_accuracy(queries, labels, bank, bank_labels, k, temperature)
    assert accuracy == pytest.approx(100 * (expected == labels.numpy()).mean())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_k_in_one_pass_are_each_k_alone(dtype):
    bank, bank_labels = clouds(400)
    queries, _ = clouds(150, seed=1)
    ks = (1, 5, 20, 200)
    together = knn_predictions_by_k(queries.to(dtype), bank.to(dtype), bank_labels, ks)
    alone = [knn_predictions(queries.to(dtype), bank.to(dtype), bank_labels, k) for k in ks]
    assert torch.equal(together, torch.stack(alone))
    assert len({tuple(row.tolist()) for row in together}) == 4, "or nothing was tested"


def test_nearest_neighbours_of_shuffled_labels_are_at_chance():
    """Each right answer is one of five at random: their number lies in the binomial interval that holds 99.99 %."""
    x, y = clouds(1000)
    ids, shuffled = torch.arange(1000), y[torch.randperm(1000, generator=torch.Generator().manual_seed(5))]
    low, high = binom.interval(0.9999, 1000, 0.2)
    for predicted in knn_predictions_by_k(x, x, shuffled, (1, 5, 20, 200), ids=ids, bank_ids=ids):
        assert low <= int((predicted == shuffled).sum()) <= high
    assert int((knn_predictions(x, x, y, 20, ids=ids, bank_ids=ids) == y).sum()) > high


def test_a_collapsed_encoder_is_at_chance():
    _, y = clouds(100)
    same = torch.ones(100, 7)
    assert (knn_predictions_by_k(same, same, y, (1, 5, 20)) == y).double().mean(dim=1).tolist() == pytest.approx([0.2] * 3)


def test_leave_one_out_removes_a_sample_by_its_id_and_nothing_else():
    x, y = clouds(60)
    ids = torch.randperm(60, generator=torch.Generator().manual_seed(2)) + 1000
    order = torch.randperm(60, generator=torch.Generator().manual_seed(3))
    predicted = knn_predictions(x, x[order], y[order], 7, 0.1, ids, ids[order])
    for i in range(60):
        rest = torch.arange(60) != i
        assert predicted[i] == knn_predictions(x[i : i + 1], x[rest], y[rest], 7, 0.1)[0]


def test_leave_one_out_of_random_labels_is_at_chance_not_at_100():
    x = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    y = torch.randint(0, 4, (400,), generator=torch.Generator().manual_seed(1))
    ids = torch.arange(400)
    assert knn_accuracy(x, y, x, y, 1) == 100
    assert 15 < knn_accuracy(x, y, x, y, 1, ids=ids, bank_ids=ids) < 35  # 25 +- 4.6 standard errors


def test_knn_does_not_depend_on_the_chunk(monkeypatch):
    bank, bank_labels = clouds(300)
    queries, _ = clouds(100, seed=1)
    whole = knn_predictions(queries, bank, bank_labels, 15)
    monkeypatch.setattr("contrast.signals.knn._CHUNK_BYTES", 300 * 8 * 7)
    assert torch.equal(knn_predictions(queries, bank, bank_labels, 15), whole)


def test_a_tiny_temperature_is_the_nearest_neighbour_and_does_not_overflow():
    bank, bank_labels = clouds(300)
    queries, _ = clouds(100, seed=1)
    nearest = knn_predictions(queries.float(), bank.float(), bank_labels, 1)
    assert torch.equal(knn_predictions(queries.float(), bank.float(), bank_labels, 30, 1e-5), nearest)


def test_knn_refuses_neighbours_that_do_not_exist():
    x, y = clouds(10)
    ids = torch.arange(10)
    knn_accuracy(x, y, x, y, 10)
    with pytest.raises(ValueError, match="between 1 and 9"):
        knn_accuracy(x, y, x, y, 10, ids=ids, bank_ids=ids)
    with pytest.raises(ValueError, match=r"ks = \(5, 2\): must be .* increase"):
        knn_predictions_by_k(x, x, y, (5, 2))


def test_knn_measure_removes_each_image_from_a_bank_that_holds_it(lab, blobs, tuned, linear_net):
    train, fit, test = blobs().whole, blobs().fit("search"), blobs().held_out("confirm")
    stage = lab.put(tuned(train), linear_net)
    images = lab.workspace.images(train)
    x, y = linear_net.features(lab.workspace.pixels(train)[0]), torch.from_numpy(images.labels)
    ids = torch.from_numpy(images.ids)
    expected = knn_accuracy(x, y, x, y, 5, ids=ids, bank_ids=ids)
    assert lab.run(KNN(stage, on=train, k=5))[0] == {"accuracy": pytest.approx(expected)}
    assert lab.run(KNN(stage, on=train, bank=train, k=5))[0] == {"accuracy": pytest.approx(expected)}
    # A fraction is of the same split; these blobs have no fraction to them, so it is all of them again.
    assert lab.run(KNN(stage, on=train, bank=replace(train, fraction=0.5), k=5))[0] == {"accuracy": pytest.approx(expected)}
    kept = (ids % (1 << 24)) < 36
    expected = knn_accuracy(x[kept], y[kept], x, y, 5, ids=ids[kept], bank_ids=ids)
    assert lab.run(KNN(stage, on=fit, bank=train, k=5))[0] == {"accuracy": pytest.approx(expected)}
    # The test split's ids repeat those of train without being the same images: nobody is removed.
    shown = linear_net.features(lab.workspace.pixels(test)[0])
    expected = knn_accuracy(shown, torch.from_numpy(lab.workspace.images(test).labels), x, y, 5)
    assert lab.run(KNN(stage, on=test, bank=train, k=5))[0] == {"accuracy": pytest.approx(expected)}
    # A part of the test split is of the same images.
    alone = lab.run(KNN(stage, on=test, k=1))[0]
    assert lab.run(KNN(stage, on=test, bank=replace(test, fraction=0.5), k=1))[0] == alone


def test_knn_measure_checks_its_fields(blobs, tuned):
    stage = tuned(blobs())
    sizes = {blobs().whole: 160}
    KNN(stage, on=blobs().whole, k=159).check(sizes.__getitem__)
    with pytest.raises(UserError, match=r"KNN\.k = 160: must be at most 159"):
        KNN(stage, on=blobs().whole, k=160).check(sizes.__getitem__)
    for make, field in (
        (lambda: KNN(stage, on=blobs(), k=0), "k"),
        (lambda: KNN(stage, on=blobs(), temperature=0.0), "temperature"),
        (lambda: KNN(stage, on=blobs(), bank=blobs(classes=(0, 1))), "bank"),
        (lambda: KNN(stage, on=blobs(classes=(1, 0)), bank=blobs(classes=(0, 1))), "bank"),
        (lambda: KNN((stage,), on=blobs()), "of"),
    ):
        with pytest.raises(UserError, match=rf"KNN\.{field} = "):
            make()


def test_the_curve_over_k_is_the_accuracy_at_each_k(lab, blobs, tuned, linear_net):
    train, test = blobs().whole, blobs().held_out("confirm")
    stage = lab.put(tuned(train), linear_net)
    results, arrays = lab.run(KNNCurve(stage, on=test, bank=train, ks=(1, 5, 20, 159)))
    expected = [lab.run(KNN(stage, on=test, bank=train, k=k))[0]["accuracy"] for k in (1, 5, 20, 159)]
    assert results == {"accuracy": expected[-1], **{f"k_{k}": right for k, right in zip((1, 5, 20, 159), expected, strict=True)}}
    assert arrays["k"].tolist() == [1, 5, 20, 159]
    assert arrays["accuracy"].tolist() == expected
    alone = lab.run(KNNCurve(stage, on=train, ks=(5,)))[0]
    assert alone["accuracy"] == lab.run(KNN(stage, on=train, k=5))[0]["accuracy"], "leave-one-out is the same, too"


def test_knn_curve_checks_its_fields(blobs, tuned):
    stage = tuned(blobs())
    with pytest.raises(UserError, match=r"KNNCurve\.ks = \(1, 5, 20, 200\): must be at most 159"):
        KNNCurve(stage, on=blobs().whole).check({blobs().whole: 160}.__getitem__)
    for ks in ((), (0, 1), (5, 5), (5, 1)):
        with pytest.raises(UserError, match=r"KNNCurve\.ks = "):
            KNNCurve(stage, on=blobs(), ks=ks)
    with pytest.raises(UserError, match=r"KNNCurve\.bank = "):
        KNNCurve(stage, on=blobs(), bank=blobs(classes=(0, 1)))


def test_linear_probe_measure_scores_as_scikit_learn_refitted_on_all_data(lab, blobs, tuned, conv_net):
    fit, held = blobs().fit("search"), blobs().held_out("confirm")
    stage = lab.put(tuned(fit), conv_net)
    results, _ = lab.run(LinearProbe(stage, data=fit, on=held))
    x, shown = (lab.workspace.features(lab.workspace.model(stage), data).double().numpy() for data in (fit, held))
    y, truth = (lab.workspace.images(data).labels for data in (fit, held))
    scale = np.sqrt(((x - x.mean(0)) ** 2).mean())
    peer = LogisticRegression(C=1 / (len(x) * results["l2"]), tol=1e-10, max_iter=5000).fit((x - x.mean(0)) / scale, y)
    assert list(results) == ["accuracy", "l2", "unconverged"]
    assert results["unconverged"] == 0
    assert results["accuracy"] == pytest.approx(100 * peer.score((shown - x.mean(0)) / scale, truth))
    assert results["accuracy"] > 40  # chance is 25


def test_linear_probe_does_not_depend_on_the_scale_of_the_features(lab, blobs, tuned, linear_net):
    fit, held = blobs().fit("search"), blobs().held_out("search")
    stage, scaled = (lab.put(tuned(fit, seed), linear_net) for seed in (0, 1))
    lab.workspace.memory.features[scaled, fit] = 1000 * lab.workspace.features(lab.workspace.model(stage), fit)
    lab.workspace.memory.features[scaled, held] = 1000 * lab.workspace.features(lab.workspace.model(stage), held)
    grid = (1e-3, 1e-1)
    assert lab.run(LinearProbe(stage, fit, held, grid))[0] == lab.run(LinearProbe(scaled, fit, held, grid))[0]


def test_probes_read_the_features_or_what_the_head_makes_of_them(lab, blobs, tuned, pretrained, conv_net):
    data, test, head = blobs().whole, blobs().held_out("confirm"), MLPHead(1, out=3)
    net = Net(blobs.mean, blobs.std, conv_net.encoder, head.build(32, 4, torch.Generator().manual_seed(0))).eval()
    stage = lab.put(pretrained(data, head), net)
    plain = lab.put(tuned(data), Net(blobs.mean, blobs.std, nn.Sequential(net.encoder, net.top), nn.Identity()).eval())
    probes = ((KNN, {"on": test, "bank": data}), (KNNCurve, {"on": test, "bank": data, "ks": (1, 9)}))
    probes += ((LinearProbe, {"data": data, "on": test, "l2": (1e-2,)}), (FewLabels, {"data": data, "on": test, "fractions": (0.2,)}))
    for probe, given in probes:
        behind = lab.run(probe(stage, **given, at="projection"))[0]
        assert behind == pytest.approx(lab.run(probe(plain, **given))[0], rel=1e-6), "those of an encoder that ends in the head"
        assert behind != lab.run(probe(stage, **given))[0]
        with pytest.raises(UserError, match=rf"{probe.__name__}\.at = 'projection': asks for one projection head"):
            probe(plain, **given, at="projection")


def test_features_that_are_not_finite_give_no_number(lab, blobs, tuned, linear_net):
    train, test = blobs().whole, blobs().held_out("confirm")
    stage = lab.put(tuned(train), linear_net)
    with torch.no_grad():
        linear_net.std.fill_(0)
    assert np.isnan(list(lab.run(KNNCurve(stage, on=test, bank=train, ks=(1, 5)))[0].values())).all()
    probes = (LinearProbe(stage, data=train, on=test), FewLabels(stage, data=train, on=test, fractions=(0.5,)))
    for probe in (*probes, TransformProbe(stage, data=train, on=test)):
        with pytest.raises(UserError, match=r"\.of = .*: has features that are not finite"):
            lab.run(probe)


def test_linear_probe_refuses_bad_grids_and_other_classes(blobs, tuned):
    stage = tuned(blobs())
    for make, field in (
        (lambda: LinearProbe(stage, blobs(), blobs(), l2=()), "l2"),
        (lambda: LinearProbe(stage, blobs(), blobs(), l2=(0.0,)), "l2"),
        (lambda: LinearProbe(stage, blobs(classes=(0, 1)), blobs()), "data"),
    ):
        with pytest.raises(UserError, match=rf"LinearProbe\.{field} = "):
            make()


def test_accuracy_is_the_share_of_largest_logits_in_percent(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net)
    results, _ = lab.run(Accuracy(stage, on=data))
    pixels, labels = lab.workspace.pixels(data)
    with torch.no_grad():
        logits = conv_net(pixels).double()
    assert list(results) == ["accuracy", "loss"]
    assert results["accuracy"] == pytest.approx(100 * (logits.argmax(1) == labels).double().mean().item())
    assert results["loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-6)


def test_a_network_without_one_output_a_class_is_no_classifier(lab, blobs, tuned, conv_net):
    data = blobs(classes=(0, 1))
    stage = lab.put(tuned(data), conv_net)
    with pytest.raises(UserError, match=r"Accuracy\.of = .*2 classes, and its network has 4 outputs"):
        lab.run(Accuracy(stage, on=data))


def test_subsets_are_stratified_nested_and_first_by_id():
    labels = np.repeat([0, 1, 2], [5, 3, 9])
    assert sorted(stratified(labels, 6)) == [0, 1, 5, 6, 8, 9]
    assert sorted(stratified(labels, 11)) == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]  # class 1 has no more
    assert sorted(stratified(labels, None)) == list(range(17))
    assert list(stratified(labels, 12))[:6] == list(stratified(labels, 6))
