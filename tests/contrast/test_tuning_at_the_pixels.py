"""Fine-tuning with a penalty on the gradient at the pixels, and on attacked images: single steps by hand, and whole trainings.

A step is computed again from the network before it, with nothing of the training loop, in float32 and to 1e-4 of the largest move.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from analysis import PGD
from contrast import (
    SCL,
    SGD,
    AdversarialTraining,
    ContrastiveInputGradient,
    CoreTuning,
    Cosine,
    CropFlip,
    Digits,
    Finetune,
    InputDifference,
    InputGradient,
    MLPHead,
    SmallResNet,
    Untrained,
    UserError,
)
from contrast.attacks import maximized, start_noise
from tests.bench import Bench, assert_same, curve

TASK = Digits(classes=(1, 3, 5), per_class=20)
START = Untrained(data=TASK, encoder=SmallResNet(2), seed=1)
TUNED = Finetune(START, data=TASK, seed=3, epochs=2, frozen=False, batch_size=25, optimizer=SGD(0.05, weight_decay=0.0))
ONE_STEP = replace(TUNED, epochs=1, batch_size=60, schedule=Cosine(rate=1.0), optimizer=SGD(0.5, momentum=0.0, weight_decay=0.0))
ATTACK = AdversarialTraining(0.1, steps=3)
CON, CORE = SCL(contrastor=MLPHead(2, out=4)), CoreTuning(contrastor=MLPHead(2, out=4))
REGIMES = {
    "AT-CE": {"attack": ATTACK},
    "AT-CE, clean too": {"attack": replace(ATTACK, clean=True)},
    "AT-CE, l2, statistics of the batch": {"attack": AdversarialTraining(0.5, "l2", steps=3, train_mode=True), "views": CropFlip()},
    "AT-CE, frozen encoder": {"attack": ATTACK, "frozen": True},
    "AT-CE, penalty": {"attack": ATTACK, "penalty": InputGradient(0.1)},
    "AT-CE-Con": {"attack": ATTACK, "method": CON},
    "AT-CE-Con, clean too": {"attack": replace(ATTACK, clean=True), "method": CON},
    "AT-CE-Con, l2": {"attack": AdversarialTraining(0.5, "l2", steps=3), "method": CON},
    "AT-Core": {"attack": ATTACK, "method": CORE},
    "AT-Core, l2": {"attack": AdversarialTraining(0.5, "l2", steps=3), "method": CORE},
    "AT-Core, clean too, bf16": {"attack": replace(ATTACK, clean=True), "method": CORE, "precision": "bf16"},
    "differences": {"penalty": InputDifference(0.1)},
    "differences, bf16": {"penalty": InputDifference(0.1, frozen_norms=True), "precision": "bf16"},
    "penalty, frozen encoder": {"penalty": InputGradient(1.0), "frozen": True},
}


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.run(START)
    return made


@pytest.mark.parametrize("changes", REGIMES.values(), ids=REGIMES)
def test_a_tuning_on_attacked_images_or_with_a_penalty_learns_and_goes_on_to_the_last_bit(bench, changes):
    stage = replace(TUNED, **changes)
    whole = bench.run(stage)
    assert_same(bench.run(stage, [1]), whole)
    assert curve(whole)[-1]["loss"] < -whole.arrays()["log_probs"][0][np.arange(60), whole.arrays()["labels"]].mean()


def before(bench, stage):
    """The network before the first step, in the mode that it is trained in, and the one batch of its training."""
    still = replace(stage, attack=None, penalty=None, optimizer=SGD(1e-30, momentum=0.0, weight_decay=0.0))
    bench.run(still)
    net = copy.deepcopy(bench.net(still)).train().requires_grad_(True)
    net.encoder.load_state_dict(bench.net(START).encoder.state_dict())  # with the statistics that it came with
    if stage.frozen:
        net.encoder.requires_grad_(False).eval()
    images = TASK.load(None)
    return net, torch.from_numpy(np.array(images.pixels)).float() / 255, torch.from_numpy(np.array(images.labels)), images.ids


def assert_steps_against(bench, stage, net, objective):
    weights = {name: weight for name, weight in net.named_parameters() if weight.requires_grad}
    gradients = torch.autograd.grad(objective, list(weights.values()))
    artefact = bench.run(stage)
    found, lr = artefact.weights(), curve(artefact)[0]["lr"]
    worst = max(float(gradient.abs().max()) for gradient in gradients)
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        move = (weight - found[name.removeprefix("top.") if stage.frozen else name]) / lr
        assert (move - gradient).abs().max() < 1e-4 * worst, name


def squared_slopes(net, x, y):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(net(x), y, reduction="sum"), x, create_graph=True)
    return slope.flatten(1).square().sum(1)


def squared_differences(net, x, y, h):
    x = x.clone().requires_grad_()
    here = cross_entropy(net(x), y, reduction="none")
    (slope,) = torch.autograd.grad(here.sum(), x, retain_graph=True)
    towards = slope / slope.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return ((cross_entropy(net(x.detach() + h * towards), y, reduction="none") - here) / h).square()


@pytest.mark.parametrize("frozen", [False, True])
def test_a_step_with_a_penalty_follows_the_gradient_of_both(bench, frozen):
    """A frozen encoder passes it on to the pixels, and the classifier alone learns by it."""
    stage = replace(ONE_STEP, frozen=frozen)
    net, x, y, _ = before(bench, stage)
    exact = cross_entropy(net(x), y) + 0.8 / 2 * squared_slopes(net, x, y).mean()
    assert_steps_against(bench, replace(stage, penalty=InputGradient(0.8)), net, exact)
    near = cross_entropy(net(x), y) + 0.8 / 2 * squared_differences(net, x, y, 0.1).mean()
    assert_steps_against(bench, replace(stage, penalty=InputDifference(0.8, h=0.1)), net, near)


@pytest.mark.parametrize("clean", [None, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_step_on_attacked_images_learns_them_and_with_clean_the_others_too(bench, clean, frozen):
    """They are crafted in eval mode, before the step, from a start that is drawn for seed, epoch and image."""
    stage = replace(ONE_STEP, frozen=frozen, attack=AdversarialTraining(0.1, steps=3, clean=clean))
    net, x, y, ids = before(bench, stage)
    start = 0.1 * start_noise(ids, (1, 8, 8), "linf", stage.seed, epoch=1)
    attacked = maximized(copy.deepcopy(net).eval(), x, y, torch.full((60,), 0.1), start, steps=3)
    seen, labels = (torch.cat([x, attacked]), torch.cat([y, y])) if clean else (attacked, y)
    assert_steps_against(bench, stage, net, cross_entropy(net(seen), labels))


def test_an_attack_of_radius_0_is_none_to_the_last_bit(bench):
    assert_same(bench.run(replace(TUNED, attack=AdversarialTraining(0.0))), bench.run(TUNED))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_whoever_was_trained_against_an_attack_stands_it_better(bench, norm):
    eps = 0.1 if norm == "linf" else 0.6
    plain = replace(TUNED, epochs=10, schedule=Cosine(rate=0.1), optimizer=SGD(0.1))
    hardened = replace(plain, attack=AdversarialTraining(eps, norm, steps=4))
    standing = []
    for stage in (plain, hardened):
        bench.run(stage)
        standing.append(bench.run(PGD(stage, on=Digits(classes=(1, 3, 5)), norm=norm, eps=(eps,), samples=150)).results)
    assert standing[1]["accuracy"] > standing[0]["accuracy"] + 20
    assert standing[1]["clean"] > 80


def test_what_cannot_be_together_is_refused():
    with pytest.raises(UserError, match=r"^AdversarialTraining\.eps = -0\.1: must be 0 or above"):
        replace(TUNED, attack=AdversarialTraining(-0.1))
    with pytest.raises(UserError, match=r"^Finetune\.penalty = ContrastiveInputGradient\(.*: goes with cross-entropy alone"):
        replace(TUNED, penalty=ContrastiveInputGradient(0.1))
    with pytest.raises(UserError, match=r"^Finetune\.attack = 0\.1: must be an Attack or None"):
        replace(TUNED, attack=0.1)
