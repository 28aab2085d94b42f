"""Fine-tuning trains a classifier on what a frozen encoder sees, and keeps its whole way.

The kept trajectory is computed again from its parts; scikit-learn solves the same convex problem to the end.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

from analysis import FGSM, KNN, PGD, Accuracy, Alignment, Landscape, LinearProbe, Progress, Uniformity
from contrast import (
    LARS,
    SGD,
    Adam,
    CropViews,
    Digits,
    Diverged,
    Finetune,
    MLPHead,
    NTXent,
    Pretrain,
    RMSProp,
    SmallResNet,
    Stage,
    Untrained,
    UserError,
    Warmup,
)
from contrast.model import Artefact, Model, Net
from contrast.pretrain import initial_net
from contrast.stage import extract
from tests.bench import Bench, assert_same, curve

DATA = Digits(per_class=9)
NET = Pretrain(
    data=DATA,
    encoder=SmallResNet(2),
    views=CropViews(),
    loss=NTXent(0.1),
    head=MLPHead(2, out=8),
    batch_size=40,
    epochs=2,
    seed=0,
    optimizer=SGD(lr=0.05),
)
TASK = Digits(classes=(1, 3, 5, 8), per_class=30)
ENCODER = Untrained(data=TASK, encoder=SmallResNet(1), seed=1)
TUNED = Finetune(ENCODER, data=TASK, seed=3, epochs=6, batch_size=50)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("optimizer", [TUNED.optimizer, LARS(2.0), RMSProp(0.1), Adam(0.01)], ids=repr)
def test_a_fine_tuning_goes_on_to_the_last_bit_after_any_epoch(bench, optimizer):
    bench.run(ENCODER)
    tuned = TUNED if optimizer == TUNED.optimizer else replace(TUNED, optimizer=optimizer, schedule=Warmup(TUNED.schedule, epochs=2))
    assert_same(bench.run(tuned, [1] * TUNED.epochs), bench.run(tuned))


def test_a_fine_tuning_shorter_than_its_schedule_is_refused():
    with pytest.raises(UserError, match=r"^Finetune\.schedule = .+: takes 7 epochs or more, not 6\. "):
        replace(TUNED, schedule=Warmup(TUNED.schedule, epochs=6))


def test_the_frozen_encoder_is_the_same_before_and_after_fine_tuning_and_its_measures(bench):
    """Weights and the buffers of batch normalisation, on disk and in the memory that stages share, bit by bit."""
    bench.run(NET)
    shared = bench.workspace(bench.folder / "look").model(NET).net.encoder
    before = {name: tensor.clone() for name, tensor in shared.state_dict().items()}
    file = (bench.done[NET].folder / "weights.safetensors").read_bytes()
    tuned = Finetune(NET, data=DATA, seed=0, epochs=3)
    bench.run(tuned)
    for measure in (
        *(KNN(NET, on=DATA, k=5), LinearProbe(NET, data=DATA, on=Digits(part="test"), l2=(0.1,)), Uniformity(NET, on=DATA)),
        *(Alignment(NET, on=DATA, views=CropViews()), Accuracy(tuned, on=DATA), Progress(tuned), Progress(tuned, on=Digits(per_class=5))),
        *(FGSM(tuned, on=DATA, samples=10), PGD(tuned, on=DATA, samples=10, steps=2), Landscape(tuned, on=DATA, points=3)),
    ):
        bench.run(measure)
        assert bench.memory.models[NET].net.encoder is shared
        assert not shared.training
    after = shared.state_dict()
    assert before.keys() == after.keys()
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (bench.done[NET].folder / "weights.safetensors").read_bytes() == file
    assert set(bench.done[tuned].weights()) == {"weight", "bias"}


def features_and_labels():
    """The encoder's features of the task, in the task's normalisation, computed apart."""
    images = TASK.load(None)
    net = initial_net(TASK, ENCODER.encoder, None, ENCODER.seed)
    return extract(net, images.pixels, torch.device("cpu")), torch.from_numpy(np.array(images.labels))


def test_the_kept_log_probabilities_are_those_of_the_kept_classifiers(bench):
    """1e-6 absolute."""
    bench.run(ENCODER)
    kept = bench.run(TUNED).arrays()
    features, labels = features_and_labels()
    assert kept["log_probs"].shape == (7, 120, 4)
    assert kept["head_weight"].shape == (7, 4, 4)
    assert np.array_equal(kept["labels"], labels)
    assert np.array_equal(kept["ids"], TASK.load(None).ids)
    for log_probs, weight, bias in zip(kept["log_probs"], kept["head_weight"], kept["head_bias"], strict=True):
        expected = functional.log_softmax(features @ torch.from_numpy(weight).T + torch.from_numpy(bias), dim=1)
        np.testing.assert_allclose(log_probs, expected, atol=1e-6)
    losses = [-log_probs[np.arange(120), labels].mean() for log_probs in kept["log_probs"]]
    np.testing.assert_allclose(losses[1:], [line["loss"] for line in curve(bench.done[TUNED])], atol=1e-6)
    last = functional.log_softmax(bench.net(TUNED)(torch.from_numpy(np.array(TASK.load(None).pixels)).float() / 255), dim=1)
    np.testing.assert_allclose(kept["log_probs"][-1], last, atol=1e-6)
    accuracy = 100 * (kept["log_probs"][-1].argmax(1) == kept["labels"]).mean()
    assert bench.done[TUNED].results == pytest.approx({"loss": losses[-1], "accuracy": accuracy}, abs=1e-5)


@dataclass(frozen=True)
class Pooled(Stage):
    """The mean of each quarter of the image: few features, on like scales, that do not separate the classes."""

    def run(self, workspace):
        return {"done": 1.0}
        yield {}

    def model(self, workspace):
        encoder = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        return Model(self, Artefact(workspace.folder, {}), lambda: Net(TASK.mean, TASK.std, encoder, nn.Identity()))


def test_no_epoch_is_below_the_optimum_of_the_convex_problem_and_training_nears_it(bench):
    """scikit-learn's unregularised logistic regression is the lower bound; after 60 epochs 0.005 nats are left."""
    images = TASK.load(None)
    features = extract(bench.net(Pooled()), images.pixels, torch.device("cpu"))
    best = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(features, images.labels)
    bound = -best.predict_log_proba(features)[np.arange(len(features)), images.labels].mean()
    long = Finetune(Pooled(), data=TASK, seed=3, epochs=60, batch_size=60, optimizer=SGD(lr=2.0, weight_decay=0.0))
    losses = [line["loss"] for line in curve(bench.run(long))]
    assert min(losses) >= bound - 1e-6
    assert losses[-1] < bound + 0.005


def test_a_fine_tuning_that_is_not_finite_diverges(bench):
    bench.run(NET)
    with pytest.raises(Diverged, match=r"the loss became (nan|inf) in epoch \d"):
        bench.run(Finetune(NET, data=DATA, seed=0, epochs=5, optimizer=SGD(lr=1e38, weight_decay=0.0)))


def test_a_task_with_fewer_images_than_classes_is_refused():
    with pytest.raises(UserError, match=r"Finetune\.data = .*fewer images than classes"):
        TUNED.check(lambda data: 3)
