"""Images mixed with each other, and their labels in the same shares: as torchvision's, drawn by sample, under any split."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import cross_entropy, one_hot
from torchvision.transforms import v2

from contrast import SGD, Classifier, CrossEntropy, CutMix, Digits, InputGradient, MaxMargin, MixUp, Plain, Pretrain, SmallResNet, UserError
from contrast.augmentations.cut_mix import cut_mix, rectangles
from contrast.augmentations.draws import Draws
from contrast.augmentations.mix import beta, mixed_labels
from contrast.augmentations.mix_up import mix_up
from contrast.loop import Place, Step
from contrast.pretrain import initial_net

STAGE = Pretrain(
    data=Digits(per_class=3),
    encoder=SmallResNet(2),
    views=Plain(),
    loss=CrossEntropy(),
    head=Classifier(),
    batch_size=20,
    epochs=1,
    seed=0,
    optimizer=SGD(lr=0.05),
    mix=MixUp(),
)
IDS = np.arange(4000) * 7919


def batch(n=6, side=(9, 12)):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n, 3, *side, generator=generator), torch.randint(0, 5, (n,), generator=generator)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 1.0])
def test_mixup_is_torchvisions_given_its_lambda(share, monkeypatch):
    x, labels = batch()
    theirs = v2.MixUp(num_classes=5)
    monkeypatch.setattr(theirs, "make_params", lambda inputs: {"lam": share})
    expected, soft = theirs(x, labels)
    shares = np.full(6, share)
    torch.testing.assert_close(mix_up(x[:, None], x.roll(1, 0)[:, None], shares)[:, 0], expected)
    torch.testing.assert_close(mixed_labels(labels, torch.from_numpy(shares).float(), 5), soft)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.83, 1.0])
@pytest.mark.parametrize("place", [(0.0, 0.0), (0.4, 0.9), (0.99, 0.5)])
def test_cutmix_is_torchvisions_given_its_lambda_and_place(share, place, monkeypatch):
    x, labels = batch()
    height, width = x.shape[2:]
    theirs, corner = v2.CutMix(num_classes=5), iter((int(place[1] * width), int(place[0] * height)))
    monkeypatch.setattr(theirs._dist, "sample", lambda shape: torch.tensor(share, dtype=torch.float64))
    with monkeypatch.context() as drawn:
        drawn.setattr(torch, "randint", lambda high, size: torch.tensor([next(corner)]))
        expected, soft = theirs(x, labels)
    boxes = rectangles(height, width, np.full(6, share), np.array([place] * 6))
    assert torch.equal(cut_mix(x[:, None], x.roll(1, 0)[:, None], boxes)[:, 0], expected)
    own = 1 - (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (height * width)
    torch.testing.assert_close(mixed_labels(labels, torch.from_numpy(own).float(), 5), soft)


@pytest.mark.parametrize("alpha", [0.15, 0.2, 1.0, 4.0])
def test_shares_have_the_beta_distribution_and_belong_to_their_samples(alpha):
    shares = beta(Draws(0, IDS, 1, 1), "mix", alpha)
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    some = np.array([3999, 5, 17])
    assert np.array_equal(beta(Draws(0, IDS[some], 1, 1), "mix", alpha), shares[some])
    for other in (Draws(1, IDS, 1, 1), Draws(0, IDS, 2, 1)):
        assert abs(np.corrcoef(beta(other, "mix", alpha), shares)[0, 1]) < 0.08


@pytest.mark.parametrize("mix", [MixUp(), MixUp(1.0), CutMix(), CutMix(0.3)], ids=repr)
def test_the_share_of_a_label_is_that_of_the_image_in_all_of_its_views(mix):
    draws = Draws(3, IDS[:50], 2, 1)
    mixed, shares = mix(torch.ones(50, 2, 3, 32, 24), torch.zeros(50, 2, 3, 32, 24), draws)
    assert torch.equal(mixed[:, 0], mixed[:, 1])
    assert np.allclose(mixed[:, 0].mean((1, 2, 3)), shares, atol=1e-6)
    assert 0 <= shares.min() < 0.3
    assert 0.7 < shares.max() <= 1


def test_shares_of_classes_pay_the_mean_over_their_classes():
    logits, labels, shares = torch.randn(5, 2, 4).double(), torch.tensor([0, 3, 3, 1, 2]), torch.rand(5).double()
    each = [
        cross_entropy(logits.flatten(0, 1), c.repeat_interleave(2), reduction="none").view(5, 2).mean(1) for c in (labels, labels.roll(1))
    ]
    expected = (shares * each[0] + (1 - shares) * each[1]).mean()
    torch.testing.assert_close(CrossEntropy()(logits, mixed_labels(labels, shares, 4)), expected)
    torch.testing.assert_close(CrossEntropy()(logits, one_hot(labels, 4).double()), CrossEntropy()(logits, labels))


def first_step(stage, chunk=None):
    images = stage.data.load(None)
    net = initial_net(stage.data, stage.encoder, stage.head, stage.seed).double().eval()
    net.register_forward_pre_hook(lambda module, given: given[0].double())
    step = Step(stage.views, stage.loss, stage.penalty, torch.float32, torch.device("cpu"), chunk=chunk, mix=stage.mix)
    rows = np.arange(20)[::-1]
    mine, labels = rows[step.rows(20)], torch.from_numpy(images.labels[rows].copy())
    loss, penalty = step(net, torch.from_numpy(images.pixels[mine]), labels, images.ids[mine], Place(0, 1, 0))
    (loss + penalty).backward()
    return [loss.detach(), penalty.detach(), *(p.grad for p in net.parameters())]


@pytest.mark.parametrize("mix", [MixUp(), CutMix()], ids=repr)
@pytest.mark.parametrize("penalty", [None, InputGradient(0.1)], ids=repr)
def test_chunks_mix_across_their_borders(mix, penalty):
    stage = replace(STAGE, mix=mix, penalty=penalty)
    for found, expected in zip(first_step(stage, 7), first_step(stage), strict=True):
        assert float((found - expected).abs().max()) <= 1e-6 * float(expected.abs().max())


def test_a_step_mixes_each_image_with_the_one_before_it_in_the_batch():
    images, seen = STAGE.data.load(None), []
    net = initial_net(STAGE.data, STAGE.encoder, STAGE.head, 0)
    net.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    step = Step(STAGE.views, STAGE.loss, None, torch.float32, torch.device("cpu"), mix=STAGE.mix)
    rows = np.arange(20)[::-1]
    mine, labels, ids = rows[step.rows(20)], torch.from_numpy(images.labels[rows].copy()), images.ids[rows]
    loss, _ = step(net, torch.from_numpy(images.pixels[mine]), labels, images.ids[mine], Place(0, 1, 0))
    shares = torch.from_numpy(beta(Draws(0, ids, 1, 1), "mixup", 0.2)).float()
    x = torch.from_numpy(images.pixels[rows]).float() / 255
    torch.testing.assert_close(seen[0], x * shares[:, None, None, None] + x.roll(1, 0) * (1 - shares[:, None, None, None]))
    torch.testing.assert_close(loss, cross_entropy(net(seen[0]), mixed_labels(labels, shares, 10)))


def test_mixtures_are_for_losses_that_take_shares_of_classes():
    with pytest.raises(UserError, match=r"^Pretrain\.mix = MixUp\(alpha=0\.2\): does not fit MaxMargin\. .+"):
        replace(STAGE, loss=MaxMargin())
    for kind in (MixUp, CutMix):
        with pytest.raises(UserError, match=rf"^{kind.__name__}\.alpha = 0: must be at least 0\.001 and finite\. .+"):
            kind(0)
