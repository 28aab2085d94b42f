"""MoCo: keys follow queries at the pace that momentum says, and the queue holds the newest of them, none of the step's own.

The laws are those of PROTOCOL 2.7 at the ends of their ranges, and what one step computes, formed again by plain means. The golden
curve is the alarm for any change of results: raise the `version` of what changed, then freeze it anew with
`python -m tests.contrast.test_moco`.
"""

import json
import math
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from analysis import KNN, Accuracy
from contrast import (
    SGD,
    Classifier,
    Cosine,
    CropViews,
    Digits,
    Diverged,
    Finetune,
    FullBatches,
    MLPHead,
    MoCo,
    Plain,
    SmallResNet,
    StageHeads,
    Untrained,
    UserError,
    Warmup,
)
from contrast.distributed import Processes
from contrast.grouped_norm import group_norms
from contrast.loop import Place
from contrast.moco import momentum_pair, momentum_step
from contrast.pretrain import initial_net
from contrast.saved import read_saved
from contrast.stage import Workspace
from sweeps import Resources, Sweep
from sweeps.engines.worker import Monitor
from sweeps.launch_checks import check_resources
from sweeps.resources import with_gpus
from tests.bench import Bench, assert_same, curve
from tests.world import World

GOLDEN = Path(__file__).parents[1] / "golden" / "moco_curve.json"
DATA = Digits(per_class=9)
MOCO = MoCo(
    data=DATA,
    encoder=SmallResNet(2),
    views=CropViews(),
    head=MLPHead(2, out=8),
    batch_size=24,  # three of them an epoch, and 18 images left out
    epochs=2,
    seed=0,
    optimizer=SGD(lr=0.05),
    queue=96,
    norm_groups=4,
)
WHOLE = replace(MOCO, norm_groups=None)
METHODS = {
    "groups": MOCO,
    "whole batch": WHOLE,
    "bf16": replace(MOCO, precision="bf16"),
    "momentum 0": replace(MOCO, momentum=0.0),
    "momentum 1": replace(MOCO, momentum=1.0),
    "one batch in the queue": replace(MOCO, queue=24, temperature=0.5),
}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@cache
def uninterrupted(method):
    """What a training left, and all it had to remember at its end."""
    artefact = Bench(tempfile.mkdtemp(prefix="moco-")).run(METHODS[method])
    return artefact, read_saved(artefact.folder)[1]


def prepared(stage):
    """The pair before the first step, and the step."""
    workspace = Workspace(None, None)
    pair = momentum_pair(stage, workspace)
    return pair, momentum_step(stage, pair, workspace)


def batch(number, size=24):
    """Pixels, labels and ids of a batch, and its place."""
    images, rows = DATA.load(None), np.arange(size) * 3 + number % 3
    return torch.from_numpy(images.pixels[rows]), torch.from_numpy(images.labels[rows]), images.ids[rows], Place(0, 1, number)


def both_views(stage, pixels, ids, at):
    views = stage.views(pixels.float() / 255, ids, at.seed, at.epoch)
    return views[:, 0], views[:, 1]


def shaken(net, seed=0):
    """Weights of its own for the query network, as after some steps."""
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)))


def test_the_queue_begins_as_unit_rows_that_follow_from_the_seed():
    first, again, other = (prepared(replace(WHOLE, seed=seed))[0].queue for seed in (0, 0, 1))
    assert first.shape == (96, 8)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(96))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).all(1).any()


@pytest.mark.parametrize("stage", [MOCO, WHOLE], ids=["groups", "whole batch"])
def test_after_as_many_steps_as_batches_fit_the_queue_holds_real_keys_only(stage):
    pair, step = prepared(stage)
    made, begun = [], pair.queue.clone()
    pair.key.top.register_forward_hook(lambda module, x, z: made.append(normalize(z)))
    for number in range(5):
        before = pair.queue.clone()
        step(pair.query, *batch(number))
        place = slice(24 * number % 96, 24 * number % 96 + 24)
        rows = pair.queue[place]
        order = (rows @ made[-1].T).argmax(1)
        assert sorted(order.tolist()) == list(range(24))  # the keys of this step, each once
        torch.testing.assert_close(rows, made[-1][order])
        other = torch.ones(96, dtype=torch.bool)
        other[place] = False
        assert torch.equal(pair.queue[other], before[other])
    assert not (pair.queue[:, None] == begun).all(-1).any()


@pytest.mark.parametrize("momentum", [0.0, 0.3, 1.0])
def test_a_step_moves_the_keys_weights_first_and_takes_its_keys_into_the_queue_last(momentum):
    """Formed again by networks of their own; batch statistics of both are those of their own views."""
    stage = replace(WHOLE, momentum=momentum)
    pair, step = prepared(stage)
    shaken(pair.query)
    before = {name: tensor.clone() for name, tensor in pair.state_dict().items()}
    pixels, labels, ids, at = batch(0)
    loss, penalty = step(pair.query, pixels, labels, ids, at)
    mean = {n: momentum * before[f"key.{n}"] + (1 - momentum) * before[f"query.{n}"] for n, _ in pair.query.named_parameters()}
    q_net, k_net = (initial_net(DATA, stage.encoder, stage.head, 0).train() for _ in range(2))
    q_net.load_state_dict({name: before[f"query.{name}"] for name in q_net.state_dict()})
    k_net.load_state_dict({name: before[f"key.{name}"] for name in k_net.state_dict()} | mean)
    first, second = both_views(stage, pixels, ids, at)
    q, k = normalize(q_net(first)), normalize(k_net(second)).detach()
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ before["queue"].T], 1) / stage.temperature
    expected = cross_entropy(logits, torch.zeros(24, dtype=torch.long))
    assert (float(loss), float(penalty)) == (pytest.approx(float(expected), rel=1e-5), 0)
    torch.testing.assert_close(pair.queue[:24], k)
    for found, formed in ((pair.query, q_net), (pair.key, k_net)):
        for name, tensor in formed.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    loss.backward()
    expected.backward()
    for weight, other in zip(pair.query.parameters(), q_net.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-3, atol=1e-5)
    assert all(weight.grad is None and not weight.requires_grad for weight in pair.key.parameters())


def test_at_momentum_0_the_keys_weights_are_the_queries_and_at_1_they_stay():
    for momentum in (0.0, 1.0):
        pair, step = prepared(replace(WHOLE, momentum=momentum))
        start = [weight.clone() for weight in pair.key.parameters()]
        shaken(pair.query)
        step(pair.query, *batch(0))
        expected = start if momentum else list(pair.query.parameters())
        assert all(torch.equal(weight, other) for weight, other in zip(pair.key.parameters(), expected, strict=True))
        statistics = [(q, k) for q, k in zip(pair.query.buffers(), pair.key.buffers(), strict=True) if q.numel() > 1]
        assert any(not torch.equal(q, k) for q, k in statistics)  # the running statistics are each network's own


def test_a_whole_training_at_momentum_1_leaves_the_keys_weights_as_they_began():
    state = uninterrupted("momentum 1")[1]
    start = initial_net(DATA, MOCO.encoder, MOCO.head, 0)
    assert all(torch.equal(state[f"net.key.{name}"], weight) for name, weight in start.named_parameters())
    assert not any(torch.equal(state[f"net.key.{name}"], tensor) for name, tensor in start.named_buffers() if "running" in name)
    assert not torch.equal(state["net.query.encoder.stem.0.weight"], start.encoder.stem[0].weight)


@pytest.mark.parametrize("method", METHODS)
def test_a_training_goes_on_to_the_last_bit_after_any_epoch(method, bench):
    """With the key network, the queue and its place: all that the last state holds."""
    whole, state = uninterrupted(method)
    cut = bench.run(METHODS[method], [1] * MOCO.epochs)
    assert_same(cut, whole)
    found = read_saved(cut.folder)[1]
    assert found.keys() == state.keys() >= {"net.queue", "net.position", "net.key.encoder.stem.0.weight"}
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.items())


def test_each_epoch_takes_its_full_batches_and_leaves_out_the_rest():
    whole, state = uninterrupted("groups")
    assert int(state["net.position"]) == 2 * 3 * 24 % 96
    assert [line["epoch"] for line in curve(whole)] == [1, 2]
    ids = np.arange(10, 100)
    rows = FullBatches()(ids, ids, 24, 0, 1)
    assert [len(part) for part in rows] == [24] * 3
    assert len(np.unique(np.concatenate(rows))) == 72
    with pytest.raises(UserError, match=r"batch_size = 91: is larger than the data \(90 images\)"):
        FullBatches()(ids, ids, 91, 0, 1)


def test_methods_differ_in_what_they_learn_and_begin_where_a_pretraining_begins(bench):
    start = bench.run(Untrained(data=DATA, encoder=MOCO.encoder, seed=0)).weights()
    pair = prepared(MOCO)[0]
    for net in (pair.query, pair.key):
        assert all(torch.equal(net.state_dict()[name], weight) for name, weight in start.items())
    ends = [tuple(uninterrupted(method)[0].weights()["encoder.stem.0.weight"].flatten().tolist()) for method in METHODS]
    assert len(set(ends)) == len(METHODS)


def test_keys_are_made_in_another_order_and_come_back_in_that_of_their_images():
    pair, step = prepared(MOCO)
    pixels, labels, ids, at = batch(0)
    second, seen = both_views(MOCO, pixels, ids, at)[1], []
    pair.key.eval()  # no statistics of the batch: each key depends on its image alone
    pair.key.register_forward_pre_hook(lambda module, x: seen.append(x[0].clone()))
    with torch.no_grad():
        expected = normalize(pair.key(second))
    step(pair.query, pixels, labels, ids, at)
    torch.testing.assert_close(pair.queue[:24], expected)
    step(pair.query, pixels, labels, ids, replace(at, step=1))
    _, one, two = seen
    for shuffled in (one, two):
        assert not torch.equal(shuffled, second)
        assert torch.equal(shuffled.flatten(1).sum(1).sort().values, second.flatten(1).sum(1).sort().values)
    assert not torch.equal(one, two)


def test_processes_that_cannot_share_the_groups_are_refused_before_training():
    net = initial_net(DATA, MOCO.encoder, MOCO.head, 0)
    for refused in (lambda: group_norms(net, 4, Processes(0, 3)), lambda: check_resources(["MoCo=gpu:3"], None, [MOCO])):
        with pytest.raises(UserError, match=r"norm_groups = 4: must be a multiple of the 3 processes .* fewer GPUs"):
            refused()
    for stage, gpus in ((MOCO, "2"), (WHOLE, "3"), (MOCO, "0.5")):
        check_resources([f"MoCo=gpu:{gpus}"], None, [stage])


def test_its_encoder_is_measured_tuned_and_watched_as_that_of_any_pretraining(bench):
    alone = uninterrupted("groups")[0]
    watched = bench.run(MOCO, monitor=Monitor(KNN(MOCO, on=DATA, k=5), "knn", bench.workspace(bench.folder / "monitor")))
    assert all(torch.equal(weight, alone.weights()[name]) for name, weight in watched.weights().items())
    assert all({"knn", "rankme", "feature_std"} <= line.keys() for line in curve(watched))
    assert with_gpus(MOCO) == Resources(1.0, 1.0)
    net = bench.net(MOCO)
    assert torch.equal(net.top[0].weight, alone.weights()["top.0.weight"])
    assert net.features(torch.rand(2, 1, 8, 8)).shape == (2, MOCO.encoder.width)
    assert 0 <= bench.run(KNN(MOCO, on=DATA, k=5)).results["accuracy"] <= 100
    assert 0 <= bench.run(Finetune(MOCO, data=DATA, seed=0, epochs=2)).results["accuracy"] <= 100


def test_a_loss_that_is_not_finite_diverges_and_leaves_no_weights(bench):
    with pytest.raises(Diverged, match=r"the loss became (nan|inf) in epoch \d"):
        bench.run(replace(MOCO, optimizer=SGD(lr=1e30)))
    assert not list(bench.folder.rglob("weights.safetensors"))


def test_a_batch_larger_than_the_data_is_refused_before_training():
    MOCO.check(lambda data: 24)
    with pytest.raises(UserError, match=r"MoCo\.batch_size = 24: is larger than the data \(23 images\)\. Lower"):
        MOCO.check(lambda data: 23)


def test_one_group_is_the_whole_batch():
    assert replace(MOCO, norm_groups=1) == WHOLE


REFUSED = {
    "one view": (lambda: replace(MOCO, views=Plain()), "views"),
    "three views": (lambda: replace(MOCO, views=CropViews(3)), "views"),
    "a classifier": (lambda: replace(MOCO, head=Classifier()), "head"),
    "heads on the stages": (lambda: replace(MOCO, head=StageHeads(stages=3)), "head"),
    "batch": (lambda: replace(MOCO, batch_size=1), "batch_size"),
    "epochs": (lambda: replace(MOCO, epochs=0), "epochs"),
    "seed": (lambda: replace(MOCO, seed=-1), "seed"),
    "training shorter than its warm-up": (lambda: replace(MOCO, schedule=Warmup(Cosine(), epochs=3)), "schedule"),
    "precision": (lambda: replace(MOCO, precision="fp16"), "precision"),
    "no queue": (lambda: replace(MOCO, queue=0), "queue"),
    "a queue without end": (lambda: replace(MOCO, queue=24 * 10**12), "queue"),
    "half a batch in the queue": (lambda: replace(MOCO, queue=12), "queue"),
    "momentum below": (lambda: replace(MOCO, momentum=-0.1), "momentum"),
    "momentum above": (lambda: replace(MOCO, momentum=1.1), "momentum"),
    "momentum that is no number": (lambda: replace(MOCO, momentum=math.nan), "momentum"),
    "temperature 0": (lambda: replace(MOCO, temperature=0.0), "temperature"),
    "a temperature below the range": (lambda: replace(MOCO, temperature=1e-5), "temperature"),
    "endless temperature": (lambda: replace(MOCO, temperature=math.inf), "temperature"),
    "groups of one": (lambda: replace(MOCO, norm_groups=24), "norm_groups"),
    "unequal groups": (lambda: replace(MOCO, norm_groups=5), "norm_groups"),
    "no group": (lambda: replace(MOCO, norm_groups=0), "norm_groups"),
}


@pytest.mark.parametrize(("make", "field"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_together_is_refused_by_field(make, field):
    with pytest.raises(UserError, match=rf"^MoCo\.{field} = .+: .+\. .+"):
        make()


def test_the_published_recipe_is_valid_and_a_queue_that_is_no_multiple_says_which_is():
    recipe = MoCo(
        data=DATA, encoder=MOCO.encoder, views=MOCO.views, head=MLPHead(1), batch_size=512, epochs=200, seed=0, optimizer=SGD(0.06)
    )
    assert (recipe.queue, recipe.momentum, recipe.temperature, recipe.norm_groups) == (4096, 0.99, 0.1, 8)
    with pytest.raises(UserError) as raised:
        replace(recipe, queue=4000)
    assert str(raised.value) == "MoCo.queue = 4000: must be a multiple of batch_size (512). Use 4096, or another batch_size."


def test_a_sweep_draws_trains_transfers_and_tells_it_apart_from_its_baseline():
    def space(trial, seed, phase, method):
        net, task = Untrained(data=DATA, encoder=MOCO.encoder, seed=seed), Digits(per_class=20)
        if method == "moco":
            net = replace(MOCO, seed=seed, epochs=1, momentum=trial.suggest_float("momentum", 0.9, 0.999))
        return {"accuracy": Accuracy(Finetune(net, data=task.fit(phase), seed=seed, epochs=1), on=task.held_out(phase))}

    with World() as world:
        population = world.launch(Sweep("arms", space, arms={"method": ["moco", "random"]}, trials=1, maximize="accuracy"))
        assert [candidate.state for candidate in population.candidates.values()] == ["complete", "complete"]
        assert all(0 <= r.metrics["accuracy"] <= 100 for c in population.candidates.values() for r in c.replicates)
        assert len(list((world.root / "store" / "MoCo").iterdir())) == 1


def frozen_curve():
    return curve(uninterrupted("groups")[0])


def test_the_training_curve_is_the_frozen_one():
    """1e-6 relative: the rounding of another processor's kernels, and nothing more."""
    for found, expected in zip(frozen_curve(), json.loads(GOLDEN.read_text()), strict=True):
        assert found == pytest.approx(expected, rel=1e-6)


if __name__ == "__main__":
    torch.set_num_threads(1)
    GOLDEN.write_text(json.dumps(frozen_curve(), indent=1) + "\n")
