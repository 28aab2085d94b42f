"""What a measure may be of is known before anything is trained: a network, a classifier of these classes, radii that pixels have."""

import inspect
from dataclasses import dataclass, replace

import numpy as np
import pytest

import analysis
from analysis import (
    CKA,
    FGSM,
    KNN,
    PGD,
    Accuracy,
    AdversarialExamples,
    AutoAttack,
    Calibration,
    Confusion,
    Corruptions,
    Curvature,
    FewLabels,
    GradientMasking,
    HeadLandscape,
    InPCA,
    Landscape,
    LinearProbe,
    MeanPerClass,
    MinimalNorm,
    ModeConnectivity,
    NeuralCollapse,
    PretrainingProgress,
    Progress,
    RadiusFlatness,
    RankMe,
    SameImages,
    Sharpness,
    TopK,
    TransformProbe,
    Tube,
)
from contrast import SGD, AdversarialTraining, Classifier, CropViews, Digits, Finetune, MLPHead, NTXent, Pretrain, SmallResNet, Untrained
from contrast.component import UserError
from contrast.losses import CrossEntropy

SHARED = {"data": Digits(), "encoder": SmallResNet(4), "batch_size": 64, "epochs": 1, "seed": 0, "optimizer": SGD(0.1)}
NET = Pretrain(**SHARED, views=CropViews(), loss=NTXent(0.5), head=MLPHead(1, out=10))
SUPERVISED = Pretrain(**SHARED, views=CropViews(1), loss=CrossEntropy(), head=Classifier())
TUNED = Finetune(NET, data=Digits(), seed=0)
FIVE = replace(TUNED, data=Digits(classes=(0, 1, 2, 3, 4)))
TEST = Digits(part="test")
OF_CLASSIFIERS = (
    *(Accuracy, TopK, MeanPerClass, Confusion, Calibration, FGSM, PGD, MinimalNorm, AdversarialExamples, GradientMasking, AutoAttack),
    *(Corruptions, Landscape, HeadLandscape, RadiusFlatness, Curvature, Sharpness),
)


@pytest.mark.parametrize("kind", OF_CLASSIFIERS)
def test_a_classifier_of_the_images_classes_is_needed(kind):
    kind(TUNED, on=TEST)
    kind(SUPERVISED, on=TEST)
    for of in (NET, Untrained(data=Digits(), encoder=SmallResNet(4), seed=0)):
        with pytest.raises(UserError, match=rf"{kind.__name__}\.of = .*must end in a classifier, and it ends in an encoder"):
            kind(of, on=TEST)
    with pytest.raises(UserError, match=r"classifier of the classes of `on` \(all 10 of digits\), and it learned digits \(0, 1, 2, 3, 4\)"):
        kind(FIVE, on=TEST)
    with pytest.raises(UserError, match="a measure leaves numbers"):
        kind(Accuracy(TUNED, on=TEST), on=TEST)


def test_the_classes_are_those_that_were_learned_in_their_order():
    Accuracy(FIVE, on=Digits(part="test", classes=(0, 1, 2, 3, 4)))
    Accuracy(TUNED, on=Digits(part="test", classes=tuple(range(10))))
    for classes in ((5, 6, 7, 8, 9), (1, 0, 2, 3, 4)):
        with pytest.raises(UserError, match="it learned digits"):
            Accuracy(FIVE, on=Digits(part="test", classes=classes))
    for make in (lambda: SameImages((TUNED, FIVE), on=TEST), lambda: ModeConnectivity((TUNED, FIVE), on=TEST)):
        with pytest.raises(UserError, match="it learned digits"):
            make()
    with pytest.raises(UserError, match="it learned digits"):
        Progress(FIVE, on=TEST)


@pytest.mark.parametrize("kind", [KNN, RankMe, NeuralCollapse])
def test_a_measure_of_features_is_of_a_network(kind):
    with pytest.raises(UserError, match=rf"{kind.__name__}\.of = .*must leave a network"):
        kind(Accuracy(TUNED, on=TEST), on=TEST)


@pytest.mark.parametrize("make", [Progress, lambda of: InPCA((of,)), lambda of: Tube((of, TUNED))], ids=["Progress", "InPCA", "Tube"])
def test_a_trajectory_is_of_a_training_that_keeps_its_log_probabilities(make):
    make(replace(TUNED, seed=1))
    with pytest.raises(UserError, match=r"\.of = .*keeps no log-probabilities.*PretrainingProgress"):
        make(NET)
    if make is not Progress:
        make(PretrainingProgress(replace(NET, snapshots=1), on=Digits()))
    with pytest.raises(UserError, match=r"\.of = .*(keeps no log-probabilities|a measure leaves numbers)"):
        make(Accuracy(TUNED, on=TEST))


@pytest.mark.parametrize("kind", [SameImages, ModeConnectivity, CKA])
def test_what_compares_networks_is_of_networks(kind):
    kind((TUNED, replace(TUNED, seed=1)), on=TEST)
    with pytest.raises(UserError, match="a measure leaves numbers"):
        kind((TUNED, Accuracy(TUNED, on=TEST)), on=TEST)


def test_a_tube_is_of_different_trainings():
    with pytest.raises(UserError, match="each once"):
        Tube((TUNED, TUNED))


@pytest.mark.parametrize("kind", [LinearProbe, FewLabels, TransformProbe])
def test_what_is_fitted_is_scored_on_other_images(kind):
    train, held_out = Digits().fit("search"), Digits().held_out("search")
    kind(NET, data=train, on=TEST)
    kind(NET, data=train, on=held_out)
    for data, on, rule in (
        (train, train, "no image of `on`"),
        (train.whole, held_out, "no image of `on`"),
        (TEST, train, "of the training split"),
    ):
        with pytest.raises(UserError, match=rf"{kind.__name__}\.data = .*{rule}"):
            kind(NET, data=data, on=on)


@pytest.mark.parametrize(
    "make",
    [
        lambda eps: PGD(TUNED, on=TEST, eps=(0.0, eps)),
        lambda eps: FGSM(TUNED, on=TEST, eps=(0.0, eps), at=eps),
        lambda eps: AdversarialExamples(TUNED, on=TEST, eps=eps),
        lambda eps: AutoAttack(TUNED, on=TEST, eps=eps),
        lambda eps: GradientMasking(TUNED, on=TEST, eps=eps),
        lambda eps: MinimalNorm(TUNED, on=TEST, norm="linf", eps=(0.1, eps)),
        AdversarialTraining,
    ],
)
def test_no_radius_in_l_inf_is_beyond_the_range_of_a_pixel(make):
    make(1.0)
    with pytest.raises(UserError, match=r"must be at most 1, the range of a pixel.*Write 8 / 255"):
        make(8.0)


def test_radii_in_l2_and_after_normalisation_may_be_above_1():
    PGD(TUNED, on=TEST, norm="l2", eps=(0.0, 2.5))
    AutoAttack(TUNED, on=TEST, norm="l2", eps=2.5)
    AdversarialTraining(2.5, norm="l2")
    FGSM(TUNED, on=TEST, eps=(0.0, 2.0), at=2.0, space="normalized", clamp=False)


def test_every_measure_of_one_classifier_is_tried_here():
    """A new measure that attacks or scores a classifier joins the list above."""
    kinds = [kind for kind in vars(analysis).values() if isinstance(kind, type)]
    asks = {kind.__name__ for kind in kinds if "require_classifier(self)" in inspect.getsource(kind)}
    assert asks == {kind.__name__ for kind in OF_CLASSIFIERS} | {"MeanAveragePrecision"}


@dataclass(frozen=True)
class Floats(Digits):
    """Digits between 0 and 1."""

    def load(self, root):
        images = super().load(root)
        return images._replace(pixels=(np.array(images.pixels) / 255).astype(np.float32))


@dataclass(frozen=True)
class Lists(Digits):
    """Digits in lists."""

    def load(self, root):
        images = super().load(root)
        return images._replace(pixels=np.array(images.pixels).tolist())


def test_pixels_that_are_no_bytes_are_refused_before_any_training():
    from sweeps.launch_checks import checker

    check = checker(None)
    check({"net": replace(NET, data=Digits())}, "search")
    with pytest.raises(UserError, match=r"Floats\.load: gives pixels as ndarray of float32, and images are an ndarray of uint8, 0 to 255"):
        check({"net": replace(NET, data=Floats())}, "search")
    with pytest.raises(UserError, match=r"Lists\.load: gives pixels as list, and images are an ndarray of uint8"):
        check({"net": replace(NET, data=Lists())}, "search")
