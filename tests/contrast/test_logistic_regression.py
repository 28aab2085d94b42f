"""A frozen encoder under its best linear classifier: scikit-learn's optimum, the probe's accuracy, and what other measures read of it."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn import linear_model

from analysis import FGSM, PGD, Accuracy, InPCA, LinearProbe, Progress
from contrast import VOC2007, Digits, Finetune, LogisticRegression, SmallResNet, Untrained, UserError
from tests.bench import Bench, curve

TASK = Digits(classes=(1, 3, 5, 8), per_class=40)
OTHERS = Digits(classes=(1, 3, 5, 8)).held_out("confirm")
ENCODER = Untrained(data=Digits(), encoder=SmallResNet(2), seed=1)
CHOSEN = LogisticRegression(ENCODER, data=TASK)
GIVEN = LogisticRegression(ENCODER, data=TASK, l2=(1e-3,))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.run(ENCODER)
    return bench


def test_the_classifier_is_the_optimum_of_scikit_learn_on_the_features_in_their_own_units(bench):
    """The network that is left takes pixels; its loss is that of the convex problem on centred and scaled features, 1e-6."""
    done = bench.run(GIVEN)
    net, images = bench.net(GIVEN), TASK.load(None)
    pixels = torch.from_numpy(np.array(images.pixels)).float() / 255
    features = net.features(pixels).double().numpy()
    scaled = (features - features.mean(0)) / np.sqrt(((features - features.mean(0)) ** 2).mean())
    peer = linear_model.LogisticRegression(C=1 / (1e-3 * len(scaled)), tol=1e-10, max_iter=10_000, solver="newton-cg")
    expected = peer.fit(scaled, images.labels).predict_log_proba(scaled)
    kept = done.arrays()
    np.testing.assert_allclose(kept["log_probs"], expected[None], atol=1e-5)
    np.testing.assert_allclose(net(pixels).log_softmax(1), expected, atol=1e-5)
    assert done.results == {
        "loss": pytest.approx(-expected[np.arange(len(expected)), images.labels].mean(), abs=1e-6),
        "accuracy": pytest.approx(100 * (expected.argmax(1) == images.labels).mean(), abs=1e-4),
        "l2": 1e-3,
        "unconverged": 0.0,
    }
    assert (kept["head_weight"].shape, kept["head_bias"].shape) == ((1, 4, 8), (1, 4))
    assert np.array_equal(kept["labels"], images.labels)
    assert np.array_equal(kept["ids"], images.ids)


def test_accuracy_of_the_stage_is_that_of_the_linear_probe_with_the_l2_that_both_choose(bench):
    done = bench.run(CHOSEN)
    probe = bench.run(LinearProbe(ENCODER, data=TASK, on=OTHERS)).results
    assert done.results["l2"] == probe["l2"]
    assert bench.run(Accuracy(CHOSEN, on=OTHERS)).results["accuracy"] == pytest.approx(probe["accuracy"])
    assert probe["accuracy"] > 40  # chance is 25


def test_it_is_below_every_epoch_of_a_fine_tuning_and_one_point_beside_its_trajectory(bench):
    tuned = Finetune(ENCODER, data=TASK, seed=0, epochs=3)
    least = LogisticRegression(ENCODER, data=TASK, l2=(1e-8,))
    losses = [line["loss"] for line in curve(bench.run(tuned))]
    assert bench.run(least).results["loss"] < min(losses)
    progress = bench.run(Progress(least))
    assert progress.arrays()["t"].shape == (1,)
    assert progress.results["t"] > bench.run(Progress(tuned)).results["t"]
    assert 0 <= bench.run(Progress(least, on=OTHERS)).results["t"] <= 1
    assert bench.run(InPCA((tuned, least))).arrays()["model"].tolist() == [0, 0, 0, 0, 1, -1, -2]
    for attack in (FGSM(least, on=TASK, samples=20), PGD(least, on=TASK, samples=20, steps=2)):
        assert 0 <= next(iter(bench.run(attack).results.values())) <= 100


def test_the_encoder_stays_as_it_is_and_a_second_run_gives_the_same_bits(bench):
    encoder = bench.workspace(bench.folder / "look").model(ENCODER).net.encoder
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    weights = [bench.run(CHOSEN).weights() for _ in range(2)]
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in ("weight", "bias"))
    assert set(weights[0]) == {"weight", "bias"}


@dataclass(frozen=True)
class Lacking(Digits):
    """Digits of which a class has lost its images."""

    def load(self, root):
        images = super().load(root)
        return images._replace(**{name: getattr(images, name)[images.labels != 2] for name in ("pixels", "labels", "ids")})


def test_what_cannot_be_fitted_is_refused(bench):
    for make, field in (
        (lambda: LogisticRegression(ENCODER, data=TASK, l2=()), "l2"),
        (lambda: LogisticRegression(ENCODER, data=TASK, l2=(1.0, 0.0)), "l2"),
        (lambda: LogisticRegression(ENCODER, data=TASK, l2=(float("inf"),)), "l2"),
        (lambda: LogisticRegression(ENCODER, data=VOC2007()), "data"),
        (lambda: GIVEN.check(lambda data: 3), "data"),
        (lambda: bench.run(LogisticRegression(ENCODER, data=Digits(per_class=1))), "data"),
        (lambda: bench.run(LinearProbe(ENCODER, data=Digits(per_class=1), on=Digits())), "data"),
        (lambda: bench.run(LogisticRegression(ENCODER, data=Lacking(per_class=5))), "data"),
    ):
        with pytest.raises(UserError, match=rf"(LogisticRegression|LinearProbe)\.{field} = "):
            make()
    assert bench.run(LogisticRegression(ENCODER, data=Digits(per_class=1), l2=(0.1,))).results["unconverged"] == 0
