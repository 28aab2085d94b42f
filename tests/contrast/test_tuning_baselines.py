"""DELTA, Bi-tuning and mix-and-match tuning computed again, by loops in float64, and in their limits (PROTOCOL 7.4)."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from contrast import (
    DELTA,
    BiTuning,
    Classifier,
    ConvN,
    CropViews,
    Digits,
    Finetune,
    MixAndMatch,
    MLPClassifier,
    MLPHead,
    ResNet50,
    SmallResNet,
    StageHeads,
    Untrained,
    UserError,
)
from contrast.finetuning.attention import channel_attention, filter_rises, linear_probe, softened
from contrast.finetuning.class_queues import ClassQueues, soft_contrast
from contrast.finetuning.delta import map_distance
from contrast.finetuning.method import Batch, Tuned
from contrast.finetuning.mix_and_match import chain_triplets, neighbours
from contrast.finetuning.stage_maps import last_convolutions, tapped
from contrast.losses.info_nce import info_nce
from contrast.model import Net
from contrast.random import generator
from tests.bench import Bench

F64 = torch.float64
LABELS = [0, 1, 0, 0, 2, 1]
CHEAP = BiTuning(queue=3, projector=MLPHead(1, out=4))


def tuned(method, seed=0, head=None):
    """A network of 8 x 8 images with what a method has beside it, in train mode."""
    encoder = SmallResNet(2).build(1, generator(seed, "encoder"))
    net = Net((0.5,), (0.3,), encoder, (head or Classifier()).build(8, 3, generator(seed, "top"))).to(F64)
    return Tuned(net, method.beside(net, 8, 3, seed).to(F64), frozen=False).train()


def batch_of(labels=LABELS, views=1, seed=0):
    pixels = torch.rand(len(labels), views, 1, 8, 8, generator=generator(seed, "pixels"), dtype=F64)
    return Batch(pixels, torch.tensor(labels), np.arange(len(labels)), seed, 1)


def unit_rows(*shape, seed=0):
    return functional.normalize(torch.randn(*shape, generator=generator(seed, "rows"), dtype=F64), dim=-1)


def moved(model, by=0.05):
    """Its encoder away from the start."""
    draw = generator(1, "away")
    with torch.no_grad():
        for weight in model.net.encoder.parameters():
            weight.add_(by * torch.randn(weight.shape, generator=draw, dtype=F64))
    return model


# DELTA


def test_maps_are_those_of_the_last_convolution_of_every_stage():
    """Of blocks with a shortcut the one before the addition; what comes out of a stage is relu(bn(map) + shortcut)."""
    encoder = SmallResNet(2, blocks=2).build(1, generator(0, "encoder")).eval()
    x = torch.rand(3, 1, 8, 8)
    with torch.no_grad(), tapped(encoder) as maps:
        encoder(x)
    assert [tuple(m.shape) for m in maps] == [(3, 2, 8, 8), (3, 4, 4, 4), (3, 8, 2, 2)]
    assert last_convolutions(encoder) == [encoder.stage1[1].conv2, encoder.stage2[1].conv2, encoder.stage3[1].conv2]
    single = SmallResNet(2).build(1, generator(0, "encoder"))
    assert last_convolutions(single)[2] is single.stage3[0].conv2
    wide = ResNet50(None, 2).build(3, generator(0, "encoder"))
    assert last_convolutions(wide) == [wide.stage1[2].conv3, wide.stage2[3].conv3, wide.stage3[5].conv3, wide.stage4[2].conv3]
    with torch.no_grad():
        encoder(x)
    assert len(maps) == 3


@pytest.mark.parametrize("method", [DELTA(0.5, 0.2), DELTA(0.5, 0.2, attention=False), DELTA(0.5, 0.2, summed=True)], ids=repr)
def test_delta_is_the_sum_over_layers_images_channels_and_pixels(method):
    """A loop over all of them, to 1e-12, with an attention that is not even."""
    model, batch = moved(tuned(method)), batch_of()
    start = model.beside
    start.weights.copy_(
        torch.cat([torch.rand(len(w), generator=generator(i, "w"), dtype=F64).softmax(0) for i, w in enumerate(start.attention())])
    )
    inputs = (batch.first - model.net.mean) / model.net.std
    loss = method(model, batch)
    with torch.no_grad(), tapped(start.encoder) as before:
        start.encoder(inputs)
    with torch.no_grad(), tapped(model.net.encoder) as maps:
        logits = model.net(batch.first)
    far = 0.0
    for now, then, attention in zip(maps, before, start.attention(), strict=True):
        n, c, h, w = now.shape
        for i in range(n):
            for k in range(c):
                squared = ((now[i, k] - then[i, k]) ** 2).sum().item()
                far += 0.5 * squared * (1 if method.attention is False else attention[k].item() * c / (h * w))
    far /= 1 if method.summed else len(batch.labels)
    length = sum((p**2).sum().item() for p in model.net.top.parameters())
    expected = functional.cross_entropy(logits, batch.labels).item() + 0.5 * far + 0.1 * length
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-12)


def test_the_map_term_is_0_at_the_start_by_running_statistics_and_stays_finite_by_the_batch():
    method = DELTA(1.0, 0.0)
    model, batch = tuned(method), batch_of()
    by_batch = method(model, batch)
    again = Tuned(model.net, method.beside(model.net, 8, 3, 0), frozen=False).eval()
    plain = functional.cross_entropy(model.net(batch.first), batch.labels)
    assert torch.equal(method(again, batch), plain)
    assert by_batch > plain


def test_the_start_is_neither_saved_nor_trained_nor_ever_in_train_mode():
    model, batch = tuned(DELTA()), batch_of()
    start = model.beside.encoder
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    assert list(model.beside.state_dict()) == ["weights"]
    assert not list(model.beside.parameters())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        DELTA()(model.train(), batch).backward()
        optimizer.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in start.state_dict().items())
    assert not any(module.training for module in start.modules())
    assert not torch.equal(model.net.encoder.stem[0].weight, start.stem[0].weight)


def test_attention_is_the_softened_rise_of_the_loss_without_each_filter():
    """Weights of the filters set to zero one by one, whole passes, the mean over two batches; 1e-9."""
    encoder = SmallResNet(2).build(1, generator(3, "encoder")).to(F64).eval()
    batches = [(batch_of(seed=s).first, torch.tensor(LABELS)) for s in (1, 2)]
    found = channel_attention(encoder, lambda: iter(batches), 3)
    probe = linear_probe(encoder, lambda: iter(batches), 3)
    for layer, attention in zip(last_convolutions(encoder), found, strict=True):
        rises = []
        for channel in range(layer.out_channels):
            lesser = copy.deepcopy(encoder)
            twin = lesser.get_submodule(next(name for name, module in encoder.named_modules() if module is layer))
            with torch.no_grad():
                twin.weight[channel] = 0
                losses = [[functional.cross_entropy(probe(net(x)), y).item() for net in (lesser, encoder)] for x, y in batches]
            rises.append(np.mean([one - two for one, two in losses]))
        z = (np.array(rises) - np.mean(rises)) / np.std(rises)
        np.testing.assert_allclose(attention, np.exp(z / 5) / np.exp(z / 5).sum(), rtol=1e-7)
        np.testing.assert_allclose(attention.sum(), 1, rtol=1e-12)
    assert all(not attention.requires_grad for attention in found)


def test_attention_is_even_where_no_filter_matters():
    """Where rises are equal, and where a probe sees no difference between classes: images of one class only train its bias alike."""
    assert torch.equal(softened(torch.full((4,), 0.3, dtype=F64)), torch.full((4,), 0.25, dtype=F64))
    encoder = SmallResNet(2).build(1, generator(3, "encoder")).eval()
    probe = nn.Linear(8, 3)
    nn.init.zeros_(probe.weight)
    rises = filter_rises(encoder, probe, batch_of().first.float(), torch.tensor(LABELS))
    assert all(torch.equal(layer, torch.zeros_like(layer)) for layer in rises)


def test_the_probe_learns_and_at_most_ten_batches_are_measured():
    encoder = SmallResNet(2).build(1, generator(3, "encoder")).to(F64).eval()
    read = []

    def seen():
        for seed in range(12):
            read.append(seed)
            yield batch_of([0, 1], seed=seed).first, torch.tensor([0, 1])

    probe = linear_probe(encoder, seen, 2)
    x, y = zip(*seen(), strict=True)
    assert functional.cross_entropy(probe(encoder(torch.cat(x))), torch.cat(y)) < math.log(2)
    read.clear()
    channel_attention(encoder, seen, 2)
    assert len(read) == 22


def test_what_delta_measured_is_kept_for_a_resume(tmp_path):
    """The state after the first epoch holds the attention, and it is not even."""
    bench, task = Bench(tmp_path), Digits(classes=(1, 3, 5), per_class=20)
    bench.run(start := Untrained(data=task, encoder=SmallResNet(2), seed=1))
    stage = Finetune(start, data=task, seed=3, epochs=2, frozen=False, batch_size=25, method=DELTA())
    bench.begin(stage, 1, tmp_path / "tuned")
    _, state = bench.workspace(tmp_path / "tuned").restore()
    (weights,) = (tensor for name, tensor in state.items() if name.endswith("beside.weights"))
    torch.testing.assert_close(torch.stack([w.sum() for w in weights.split([2, 4, 8])]), torch.ones(3))
    assert all(w.max() > 1.05 * w.min() for w in weights.split([2, 4, 8]))
    assert not any("beside.encoder" in name for name in state)


def test_map_distance_has_a_gradient():
    maps = [torch.randn(2, 3, 2, 2, generator=generator(i, "maps"), dtype=F64, requires_grad=True) for i in (0, 1)]
    before = [torch.randn(2, 3, 2, 2, generator=generator(i, "before"), dtype=F64) for i in (0, 1)]
    attention = [torch.tensor([0.2, 0.5, 0.3], dtype=F64)] * 2
    assert torch.autograd.gradcheck(lambda *m: map_distance(m, before, attention), maps)


# Bi-tuning


@pytest.mark.parametrize("bias", [True, False])
def test_bi_tuning_is_the_divergence_from_soft_targets_computed_image_by_image(bias):
    """As the published code goes through the batch, with KLDivLoss, to 1e-12."""
    method = replace(CHEAP, weight=0.7, temperature=0.3, momentum=0.5)
    model, batch = tuned(method, head=Classifier() if bias else Classifier(bias=False)), batch_of(views=2)
    moved(model)
    keys, top, k = model.beside, model.net.top, method.queue
    queue_z, queue_h = keys.projections.keys.clone(), keys.features.keys.clone()
    slow = copy.deepcopy(keys)
    for now, then in ((model.net.encoder, slow.slow_encoder), (keys.projector, slow.slow_projector)):
        for fast, behind in zip(now.parameters(), then.parameters(), strict=True):
            behind.data = 0.5 * behind.data + 0.5 * fast.data
    loss = method(model, batch)
    with torch.no_grad():
        inputs = (batch.views - model.net.mean) / model.net.std
        h, h_key = model.net.encoder(inputs[:, 0]), slow.slow_encoder(inputs[:, 1])
        z, z_key = functional.normalize(keys.projector(h)), functional.normalize(slow.slow_projector(h_key))
        one = torch.ones(len(h), int(bias), dtype=F64)
        h_unit = functional.normalize(torch.cat([h, one], 1))
        w = functional.normalize(torch.cat([top.weight, top.bias[:, None]], 1) if bias else top.weight)
        target = torch.tensor([1 / (k + 1)] * (k + 1) + [0.0] * (2 * k), dtype=F64)
        by_z, by_h = [], []
        for i, label in enumerate(batch.labels.tolist()):
            others = [c for c in range(3) if c != label]
            by_z.append(torch.stack([z[i] @ z_key[i], *(z[i] @ queue_z[c, j] for c in (label, *others) for j in range(k))]))
            by_h.append(torch.stack([h_unit[i] @ w[label], *(queue_h[c, j] @ w[label] for c in (label, *others) for j in range(k))]))
        terms = [
            nn.KLDivLoss(reduction="batchmean")((torch.stack(rows) / 0.3).log_softmax(1), target.expand(6, -1)) for rows in (by_z, by_h)
        ]
        expected = functional.cross_entropy(top(h), batch.labels) + 0.7 * (terms[0] + terms[1])
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-12, atol=0)


def test_soft_contrast_is_0_at_its_optimum_and_info_nce_where_the_class_has_the_own_key_alone():
    """InfoNCE among one key n: own-class queue of one, which is the own key, and two others that are n: (e^n + e^n) / (K + 1) is e^n."""
    own, queued = torch.ones(4, dtype=F64), torch.full((4, 3, 5), -1.0, dtype=F64)
    labels = torch.tensor([0, 1, 2, 0])
    queued[torch.arange(4), labels] = 1
    assert soft_contrast(own, queued, labels, 0.01).abs() < 1e-12
    q, key, other = unit_rows(1, 4), unit_rows(1, 4, seed=1), unit_rows(1, 4, seed=2)
    queued = torch.stack([q @ key.T, q @ other.T, q @ other.T], 1)
    found = soft_contrast((q * key).sum(1), queued, torch.tensor([0]), 0.2)
    torch.testing.assert_close(found, info_nce(q, key, other, 0.2), rtol=1e-12, atol=0)


def test_bi_tuning_without_queues_is_cross_entropy():
    method = replace(CHEAP, queue=0)
    model, batch = tuned(method), batch_of(views=2)
    loss = method(model, batch)
    torch.testing.assert_close(loss, functional.cross_entropy(model.net(batch.first), batch.labels), rtol=1e-12, atol=0)


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_keys_are_those_of_the_network_at_momentum_0_and_those_of_the_start_at_momentum_1(momentum):
    method = replace(CHEAP, momentum=momentum)
    model = tuned(method)
    start = [p.clone() for p in model.beside.slow_encoder.parameters()]
    moved(model)
    method(model, batch_of(views=2)).backward()
    expected = start if momentum else list(model.net.encoder.parameters())
    assert all(torch.equal(one, two) for one, two in zip(model.beside.slow_encoder.parameters(), expected, strict=True))
    assert all(p.grad is None for p in [*model.beside.slow_encoder.parameters(), *model.beside.slow_projector.parameters()])
    assert all(p.grad.abs().sum() > 0 for p in model.beside.projector.parameters())


def test_queues_are_first_in_first_out_in_each_class():
    """Against lists, over batches with more of a class than its queue holds, one class, and a class that is absent."""
    queues = ClassQueues(torch.zeros(3, 4, 1))
    lists = {c: [0.0] * 4 for c in range(3)}
    number = 0
    for labels in ([0, 0, 1, 0], [2] * 7, [1, 1, 0, 1, 1, 1, 1, 0], [0], [1, 2, 1]):
        numbers = torch.arange(number + 1, number + 1 + len(labels)).float()
        number += len(labels)
        queues.enqueue(numbers[:, None], torch.tensor(labels))
        for c, value in zip(labels, numbers.tolist(), strict=True):
            lists[c] = [*lists[c][1:], value]
        for c in range(3):
            oldest_first = queues.keys[c, :, 0].roll(-int(queues.position[c]))
            assert oldest_first.tolist() == lists[c]


def test_the_classifier_learns_from_labels_alone():
    model, batch = tuned(CHEAP), batch_of(views=2)
    CHEAP(model, batch).backward()
    found = model.net.top.weight.grad.clone()
    model.zero_grad()
    functional.cross_entropy(model.net(batch.first), batch.labels).backward()
    torch.testing.assert_close(found, model.net.top.weight.grad, rtol=1e-9, atol=1e-12)


# Mix-and-match


def test_the_chain_of_a_class_joins_each_image_to_the_one_before_it():
    assert neighbours(torch.tensor([0, 1, 0, 0, 2, 1])).tolist() == [2, 5, 0, 2, 4, 1]


@pytest.mark.parametrize("margin", [0.5, 2.1])
def test_chain_triplets_are_the_mean_over_images_of_the_mean_over_negatives(margin):
    features, labels = torch.randn(6, 3, generator=generator(0, "f"), dtype=F64), torch.tensor(LABELS)
    z, positives = functional.normalize(features), [2, 5, 0, 2, 4, 1]
    costs = []
    for i, p in enumerate(positives):
        near = ((z[i] - z[p]) ** 2).sum()
        far = [((z[i] - z[n]) ** 2).sum() for n in range(6) if LABELS[n] != LABELS[i]]
        costs.append(torch.stack([(near - d + margin).clamp_min(0) for d in far]).mean())
    torch.testing.assert_close(chain_triplets(features, labels, margin), torch.stack(costs).mean(), rtol=1e-12, atol=0)
    features.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: chain_triplets(x, labels, margin), features)


def test_chain_triplets_cost_nothing_in_one_class_and_where_classes_are_apart():
    line = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert chain_triplets(line, torch.tensor([1, 1, 1]), 2.1) == 0
    assert chain_triplets(line, torch.tensor([0, 0, 1]), 2.1) == 0
    assert chain_triplets(line, torch.tensor([0, 0, 1]), 4.5) == 0.5


TASK = Digits(classes=(1, 3, 5), per_class=20)


def stage(method, encoder=SmallResNet(2), **changes):
    views = CropViews() if method.views == 2 else None
    return Finetune(Untrained(data=TASK, encoder=encoder, seed=1), data=TASK, seed=3, frozen=False, views=views, method=method, **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stage(DELTA(), ConvN()), r"DELTA: takes the feature maps of stages, and ConvN\(n=1\) has none\. Use a ResNet18"),
        (lambda: stage(BiTuning(), head=MLPClassifier(5)), r"BiTuning: takes the directions of a linear classifier, and MLPClassifier"),
        (lambda: DELTA(alpha=-1.0), r"DELTA\.alpha = -1.0: must be 0 or above"),
        (lambda: DELTA(attention=True), r"DELTA\.attention = True: must be"),
        (lambda: BiTuning(queue=-1), r"BiTuning\.queue = -1: must be an integer from 0 to 4096"),
        (lambda: BiTuning(momentum=1.5), r"BiTuning\.momentum = 1.5: must be from 0 to 1"),
        (lambda: BiTuning(projector=StageHeads()), r"BiTuning\.projector = .*: does not give one projection"),
        (lambda: MixAndMatch(margin=-0.1), r"MixAndMatch\.margin = -0.1: must be 0 or above"),
        (lambda: last_convolutions(ConvN().build(1, generator(0, "e"))), r"the encoder has no stages"),
    ],
    ids=lambda value: "" if callable(value) else value[:24],
)
def test_what_has_no_sense_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
