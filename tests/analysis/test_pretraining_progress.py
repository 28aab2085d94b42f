"""The prototype map against closed forms and brute force, its measure on a small pretraining that keeps snapshots."""

from dataclasses import dataclass, replace
from math import acos, exp, sqrt

import numpy as np
import pytest
import torch

from analysis import InPCA, PretrainingProgress, Tube
from analysis.geometry.pretraining_progress import prototype_log_probs
from analysis.geometry.progress import progress
from contrast import SGD, CropViews, Digits, MLPHead, NTXent, Pretrain, SmallResNet, UserError
from contrast.data.dataset import Images
from tests.bench import Bench

NET = Pretrain(
    data=Digits(per_class=9),
    encoder=SmallResNet(2),
    views=CropViews(),
    loss=NTXent(0.1),
    head=MLPHead(2, out=8),
    batch_size=40,
    epochs=4,
    seed=0,
    optimizer=SGD(0.05),
    snapshots=2,
)
TASK = Digits(classes=(1, 4, 7), per_class=9)


@pytest.mark.parametrize(("logits", "apart"), [("distance", 2.0), ("dot", 1.0)])
def test_orthogonal_classes_have_the_progress_of_a_closed_form(logits, apart):
    labels = torch.arange(20) % 5
    features = torch.eye(5)[labels] * torch.linspace(0.5, 9, 20)[:, None]  # lengths do not matter
    log_probs = prototype_log_probs(features, labels, 5, logits)
    q = 1 / (1 + 4 * exp(-apart))
    assert log_probs.gather(1, labels[:, None]).exp().flatten().tolist() == pytest.approx([q] * 20, abs=1e-12)
    closed = acos(sqrt(q / 5) + sqrt((1 - q) * 4 / 5)) / acos(sqrt(1 / 5))
    assert progress(log_probs[None], labels).item() == pytest.approx(closed, abs=1e-10)


def test_logits_are_minus_squared_distances_to_the_mean_of_each_class():
    draws = torch.Generator().manual_seed(0)
    features, labels = torch.randn(60, 7, generator=draws), torch.randint(0, 4, (60,), generator=draws)
    unit = (features.double() / features.double().norm(dim=1, keepdim=True)).numpy()
    prototypes = np.stack([unit[labels.numpy() == c].mean(0) for c in range(4)])
    logits = -((unit[:, None] - prototypes) ** 2).sum(2)
    assert -4 <= logits.min() <= logits.max() <= 0
    expected = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert np.abs(prototype_log_probs(features, labels, 4).numpy() - expected).max() < 1e-12
    order = torch.randperm(60, generator=draws)
    assert (prototype_log_probs(features[order], labels[order], 4) - prototype_log_probs(features, labels, 4)[order]).abs().max() < 1e-12


def test_the_measure_reads_every_snapshot_and_others_read_the_measure(tmp_path):
    bench = Bench(tmp_path)
    measures = []
    for seed in (0, 1):
        net = replace(NET, seed=seed)
        bench.run(net)
        measures.append(PretrainingProgress(net, on=TASK))
        bench.run(measures[-1])
    found = bench.done[measures[0]]
    arrays, images = found.arrays(), TASK.load(None)
    labels = torch.from_numpy(np.array(images.labels))
    assert arrays["epoch"].tolist() == [0, 2, 4]
    assert list(found.results) == ["t", "bhattacharyya", "length_ratio", "clipped_share"]
    with torch.no_grad():
        features = bench.net(NET).features(torch.from_numpy(np.array(images.pixels)).float() / 255)
    last = prototype_log_probs(features, labels, 3)
    assert np.abs(arrays["log_probs"][-1] - last.numpy()).max() < 1e-5
    assert arrays["t"] == pytest.approx(progress(torch.from_numpy(arrays["log_probs"]), labels).numpy(), abs=1e-6)
    assert found.results["t"] == arrays["t"][-1]
    together = InPCA(tuple(measures))
    rows = bench.run(together).arrays()
    assert rows["epoch"].tolist() == [0, 2, 4, 0, 2, 4, 0, 0]
    assert rows["model"].tolist() == [0, 0, 0, 1, 1, 1, -1, -2]
    assert "seed_spread" in bench.done[together].results
    assert bench.run(Tube(tuple(measures))).results["width"] > 0


@dataclass(frozen=True)
class Lacking(Digits):
    """Digits of which the last class has no image."""

    def load(self, root):
        images = super().load(root)
        there = np.flatnonzero(images.labels < self.num_classes - 1)
        return Images(images.pixels[there], images.labels[there], images.ids[there])


def test_a_class_without_an_image_has_no_prototype_and_is_refused(tmp_path):
    bench = Bench(tmp_path)
    bench.run(NET)
    with pytest.raises(UserError, match=r"PretrainingProgress\.on = .*a class without an image"):
        bench.run(PretrainingProgress(NET, on=Lacking(classes=(1, 4, 7), per_class=9)))


def test_what_keeps_no_snapshots_is_refused():
    with pytest.raises(UserError, match=r"PretrainingProgress\.of = .*keeps snapshots"):
        PretrainingProgress(replace(NET, snapshots=None), on=TASK)
    with pytest.raises(UserError, match=r"PretrainingProgress\.on = .*one class"):
        PretrainingProgress(NET, on=Digits(classes=(3,)))
