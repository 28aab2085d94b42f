"""Images of other channels than an encoder's are refused by all that would feed them to it, before anything runs.

Normalisation would stretch grey images over three channels, and what came out would look like a result.
"""

from dataclasses import dataclass, replace

import pytest

from analysis import FGSM, KNN, Accuracy, Alignment, Landscape, LinearProbe, Measure, Uniformity
from contrast import (
    CIFAR10,
    MNIST,
    CropViews,
    Digits,
    Finetune,
    LogisticRegression,
    Pretrained,
    ResNet18,
    Segment,
    Stage,
    TorchvisionKeys,
    Untrained,
    UserError,
    VOC2012Segmentation,
)


@dataclass(frozen=True)
class Own(Measure):
    """A measure of one's own, without a check of its own."""

    on: Digits | CIFAR10

    def measure(self, model, workspace):
        return {"one": 1.0}


def outside(channels):
    keys = TorchvisionKeys(mean=(0.5,) * channels, std=(0.5,) * channels)
    return Pretrained(address="weights/net.pth", sha256="0" * 64, encoder=ResNet18("imagenet"), keys=keys)


COLOUR, GREY = outside(3), Untrained(data=MNIST(), encoder=ResNet18("imagenet"), seed=0)
DIGITS, IMAGES, SCENES = Digits(), CIFAR10(), VOC2012Segmentation()
# What feeds, the field that is named, the channels given and those known.
WRONG: dict[str, tuple[Stage, str, int, int]] = {
    "kNN": (KNN(COLOUR, on=DIGITS), "on", 1, 3),
    "kNN of grey": (KNN(GREY, on=IMAGES), "on", 3, 1),
    "a bank": (KNN(COLOUR, on=DIGITS, bank=DIGITS.whole), "on", 1, 3),
    "a probe": (LinearProbe(COLOUR, data=DIGITS, on=Digits(part="test")), "data", 1, 3),
    "an accuracy": (Accuracy(Finetune(COLOUR, data=IMAGES, seed=0), on=DIGITS), "on", 1, 3),
    "an attack": (FGSM(Finetune(COLOUR, data=IMAGES, seed=0), on=DIGITS), "on", 1, 3),
    "a landscape": (Landscape(Finetune(COLOUR, data=IMAGES, seed=0), on=DIGITS), "on", 1, 3),
    "uniformity": (Uniformity(COLOUR, on=DIGITS), "on", 1, 3),
    "alignment": (Alignment(COLOUR, on=DIGITS, views=CropViews()), "on", 1, 3),
    "a measure of one's own": (Own(COLOUR, on=DIGITS), "on", 1, 3),
    "logistic regression": (LogisticRegression(COLOUR, data=DIGITS), "data", 1, 3),
    "a fine-tuning": (Finetune(GREY, data=IMAGES, seed=0), "data", 3, 1),
    "segmentation by grey weights": (Segment(outside(1), data=SCENES, seed=0), "data", 3, 1),
    "segmentation by an encoder of grey": (Segment(GREY, data=SCENES, seed=0), "data", 3, 1),
}


@pytest.mark.parametrize(("stage", "field", "given", "known"), WRONG.values(), ids=WRONG)
def test_images_of_other_channels_are_refused(stage, field, given, known):
    says = rf"{type(stage).__name__}\.{field} = .+: has images of {given} channels, and the encoder was trained on {known}\. Use another"
    with pytest.raises(UserError, match=says):
        stage.check(lambda data: 10_000)


@pytest.mark.parametrize(
    "stage",
    [
        KNN(COLOUR, on=IMAGES),
        KNN(GREY, on=DIGITS),
        LinearProbe(COLOUR, data=IMAGES, on=replace(IMAGES, part="test")),
        LogisticRegression(GREY, data=DIGITS),
        Uniformity(Finetune(GREY, data=DIGITS, seed=0), on=MNIST()),
        Segment(COLOUR, data=SCENES, seed=0),
    ],
    ids=lambda stage: type(stage).__name__,
)
def test_other_images_of_the_same_channels_are_welcome(stage):
    stage.check(lambda data: 10_000)
