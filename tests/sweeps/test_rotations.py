"""Neither knobs that were chosen in other rotations nor an encoder that was trained in one are scored on a domain that is left out."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from analysis import KNN, Accuracy
from contrast import SGD, CropViews, DomainFolder, Finetune, MLPHead, NTXent, Pretrain, SmallResNet, Untrained, UserError, leave_one_out
from sweeps import AtLeast, Confirm, Sweep
from sweeps.launch_checks import check_corners, checker

DOMAINS = ("clip", "photo", "sketch")
PETS = leave_one_out(DomainFolder, images="pets", domains=DOMAINS, count=2, side=8)


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    root = tmp_path_factory.mktemp("domains")
    for seed, domain in enumerate(DOMAINS):
        for k, name in enumerate(("cat", "dog")):
            folder = root / "pets" / domain / name
            folder.mkdir(parents=True)
            for i, image in enumerate(np.random.default_rng(2 * seed + k).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)):
                Image.fromarray(image).save(folder / f"{i}.png")
    return checker(root)


def pretraining(data):
    return Pretrain(
        data=data, encoder=SmallResNet(2), views=CropViews(), loss=NTXent(0.1), head=MLPHead(1, out=8),
        batch_size=16, epochs=1, seed=0, optimizer=SGD(lr=0.1),
    )  # fmt: skip


START = Untrained(data=PETS["photo"].whole, encoder=SmallResNet(2), seed=0)


def accuracy(seed, phase, target, epochs=1):
    return Accuracy(Finetune(START, data=PETS[target].fit(phase), seed=seed, epochs=epochs), on=PETS[target].held_out(phase))


def each_alone(trial, seed, phase, target):
    return {"accuracy": accuracy(seed, phase, target, trial.suggest_int("epochs", 1, 2))}


def all_at_once(trial, seed, phase, domains=DOMAINS):
    epochs = trial.suggest_int("epochs", 1, 2)
    return {f"accuracy/{target}": accuracy(seed, phase, target, epochs) for target in domains}


def watched(trial, seed, phase):
    net = pretraining(PETS["clip"].fit(phase))
    bank, on = PETS["clip"].fit(phase), PETS["clip"].held_out(phase)
    return {"knn": KNN(net, bank=bank, on=on, k=3), "accuracy": accuracy(seed, phase, "photo", trial.suggest_int("epochs", 1, 2))}


def sweep(space, **declared):
    return Sweep("left_out", space, confirm=Confirm(top=1, seeds=(1, 2)), **({"maximize": "accuracy"} | declared))


@pytest.mark.usefixtures("cache")
def test_a_rotation_that_is_an_arm_is_tuned_alone_and_accepted(check):
    check_corners(sweep(each_alone, arms={"target": DOMAINS}), True, check)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("space", "declared", "targets"),
    [
        (all_at_once, {"maximize": "accuracy/*"}, "clip, photo, sketch"),
        (all_at_once, {"maximize": "accuracy/photo"}, "clip, photo, sketch"),
        (all_at_once, {"maximize": tuple(f"accuracy/{domain}" for domain in DOMAINS)}, "clip, photo, sketch"),
        (partial(all_at_once, domains=("clip", "photo")), {"minimize": "accuracy/*", "maximize": None}, "clip, photo"),
        (watched, {"monitor": "knn"}, "clip, photo"),
        (watched, {"constraints": (AtLeast("knn", 0.5),)}, "clip, photo"),
    ],
    ids=["the mean", "one of several", "each an objective", "the least", "a monitor", "a constraint"],
)
def test_knobs_chosen_by_several_rotations_are_refused(check, space, declared, targets):
    rule = rf"one choice of knobs for pets without {targets} is made on images of every one of them\. Make the rotation an arm, "
    with pytest.raises(UserError, match=rule):
        check_corners(sweep(space, **declared), True, check)


@pytest.mark.usefixtures("cache")
def test_where_nothing_is_chosen_all_rotations_may_stand_side_by_side(check):
    def space(trial, seed, phase):
        return {f"accuracy/{target}": accuracy(seed, phase, target) for target in DOMAINS}

    check_corners(Sweep("left_out", space, headline=("accuracy/*",)), False, check)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    "stage",
    [
        Accuracy(Finetune(pretraining(PETS["clip"].whole), data=PETS["photo"].whole, seed=0), on=PETS["photo"].held_out("confirm")),
        Accuracy(Finetune(START, data=PETS["clip"].whole, seed=0), on=PETS["photo"].held_out("confirm")),
        KNN(START, bank=PETS["clip"].whole, on=PETS["photo"].held_out("confirm")),
    ],
    ids=["pretrained", "tuned", "compared"],
)
def test_a_measure_on_a_target_that_another_rotation_has_shown_is_refused(check, stage):
    rule = r"score: \w+ is measured on pets without 'photo' and has seen it without 'clip', which shows 'photo'\. Use one target"
    with pytest.raises(UserError, match=rule):
        check({"score": stage}, "confirm")


@pytest.mark.usefixtures("cache")
def test_an_encoder_that_was_pretrained_without_the_same_target_may_be_scored(check):
    net = pretraining(PETS["photo"].whole)
    check({"score": Accuracy(Finetune(net, data=PETS["photo"].whole, seed=0), on=PETS["photo"].held_out("confirm"))}, "confirm")
