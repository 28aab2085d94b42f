"""Segmentation fine-tunes a whole network, deterministically, and is measured by one confusion matrix.

Images are small files in the official layout of PASCAL VOC, and a folder of images whose classes are told by colour.
"""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch

from analysis import KNN, Accuracy, Segmentation, Uniformity
from analysis.accuracy.confusion import segmentation_scores
from contrast import (
    SGD,
    ConvN,
    CoreTuning,
    Digits,
    Diverged,
    MaskFolder,
    MLPHead,
    OwnKeys,
    Pretrained,
    Resize,
    ScaleCrop,
    Segment,
    SmallResNet,
    Untrained,
    UserError,
    VOC2012Segmentation,
    Warmup,
)
from contrast.data.segmented import IGNORED
from sweeps import Sweep
from sweeps.engines.worker import Place
from tests.bench import Bench, assert_same, curve
from tests.contrast.scenes import write_folder, write_voc
from tests.world import World

VOC = VOC2012Segmentation(side=16)
ENCODER = Untrained(data=VOC, encoder=SmallResNet(2), seed=0)
CORE = CoreTuning(eta=1.0, contrastor=MLPHead(2, out=8))
SEGMENT = Segment(ENCODER, data=VOC, seed=1, epochs=2, batch_size=4, rates=(1, 2), crop=ScaleCrop(), output_stride=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Images of both layouts."""
    folder = write_voc(tmp_path_factory.mktemp("scenes"))
    return write_folder(folder, train=16, val=6)


@pytest.fixture
def bench(tmp_path, root, cache):
    return Bench(tmp_path, root)


def test_a_segmentation_goes_on_to_the_last_bit_after_any_epoch(bench):
    """With crops, dropout, dilation and Core-tuning on pixels; whatever is drawn from global generators meanwhile."""
    bench.run(ENCODER)
    stage = replace(SEGMENT, method=CORE)
    assert_same(bench.run(stage, [1]), bench.run(stage))
    assert curve(bench.done[stage])[0].keys() == {"epoch", "loss", "objective", "lr"}


def test_a_segmentation_trains_and_is_measured_over_the_whole_set(bench):
    """Its classes are told by colour. The matrix is counted again by hand from the network's logits, image by image."""
    data = MaskFolder(images="streets", count=4, side=32)
    encoder = Untrained(data=data, encoder=SmallResNet(4), seed=0)
    bench.run(encoder)
    before = (bench.done[encoder].folder / "weights.safetensors").read_bytes()
    shared = {name: tensor.clone() for name, tensor in bench.net(encoder).state_dict().items()}
    stage = Segment(encoder, data=data, seed=0, epochs=5, batch_size=4, rates=(1, 2), optimizer=SGD(lr=0.05, nesterov=True))
    told = [line["loss"] for line in curve(bench.run(stage))]
    assert told[-1] < 0.6 * told[0]
    assert bench.done[stage].results == {"loss": told[-1]}
    measure = Segmentation(stage, on=replace(data, part="test"))
    found = bench.run(measure)
    scenes, confusion, net = measure.on.scenes(bench.data), np.zeros((4, 4), dtype=int), bench.net(stage)
    for pixels, mask in zip(scenes.pixels, scenes.masks, strict=True):
        predicted = net(torch.from_numpy(np.array(pixels))[None].float() / 255)[0].argmax(0).numpy()
        np.add.at(confusion, (mask[mask != IGNORED], predicted[mask != IGNORED]), 1)
    assert np.array_equal(found.arrays()["confusion"], confusion)
    assert found.results == segmentation_scores(confusion)
    assert found.results["miou"] > 40
    assert next(iter(found.results)) == "miou"
    assert {name: found.arrays()[name].shape for name in ("pixels", "truth", "predicted")} == {
        "pixels": (4, 3, 32, 32),
        "truth": (4, 32, 32),
        "predicted": (4, 32, 32),
    }
    assert (bench.done[encoder].folder / "weights.safetensors").read_bytes() == before
    assert all(torch.equal(tensor, shared[name]) for name, tensor in bench.net(encoder).state_dict().items())
    assert np.isfinite(bench.run(Uniformity(stage, on=replace(data, part="test"))).results["uniformity"])


def test_a_segmentation_that_is_not_finite_diverges(bench):
    bench.run(ENCODER)
    with pytest.raises(Diverged, match=r"became (nan|inf)|infinite or no numbers"):
        bench.run(replace(SEGMENT, optimizer=SGD(lr=1e38)))


def test_a_sweep_runs_segmentations(root, cache):
    def space(trial, seed, phase):
        lr = trial.suggest_float("lr", 0.01, 0.1, log=True)
        net = replace(SEGMENT, data=VOC.fit(phase), seed=seed, epochs=1, optimizer=SGD(lr=lr, nesterov=True))
        return {"segmentation": Segmentation(net, on=VOC.held_out(phase))}

    with World() as world:
        world.place = Place(world.root, root)
        population = world.launch(Sweep("scenes", space, trials=1, maximize="segmentation"))
        (candidate,) = population.candidates.values()
        assert candidate.state == "complete"
        assert {name for replicate in candidate.replicates for name in replicate.metrics} >= {
            "segmentation",
            "segmentation/mpa",
            "segmentation/fwiou",
        }


def test_a_segmentation_feeds_with_the_tasks_constants_or_with_the_encoders(bench):
    """Weights from outside that know pixels from 0 to 1 are fed so; None is ImageNet's, as the data say."""
    weights = bench.run(ENCODER).folder / "weights.safetensors"
    keys = OwnKeys(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    outside = Pretrained(address=weights.as_uri(), sha256=sha256(weights.read_bytes()).hexdigest(), encoder=SmallResNet(2), keys=keys)
    bench.run(outside)
    found = {}
    for normalization, constants in ((None, (VOC.mean, VOC.std)), ("encoder", (keys.mean, keys.std))):
        stage = replace(SEGMENT, of=outside, epochs=1, normalization=normalization)
        found[normalization] = bench.run(stage).results["loss"]
        for own, wanted in zip(bench.net(stage).constants, constants, strict=True):
            np.testing.assert_allclose(own, wanted, rtol=1e-6)
    assert found["encoder"] != found[None]


# ---- what is refused


GREY = Untrained(data=Digits(), encoder=SmallResNet(2), seed=0)
WRONG = {
    "an encoder without stages": (
        lambda: replace(SEGMENT, of=Untrained(data=VOC, encoder=ConvN(), seed=0)),
        r"Segment\.of = .*must train an encoder with stages",
    ),
    "no epochs": (lambda: replace(SEGMENT, epochs=0), r"Segment\.epochs = 0"),
    "a batch of one": (lambda: replace(SEGMENT, batch_size=1), r"Segment\.batch_size = 1"),
    "a negative seed": (lambda: replace(SEGMENT, seed=-1), r"Segment\.seed = -1"),
    "no dilations": (lambda: replace(SEGMENT, rates=()), r"Segment\.rates = \(\)"),
    "a dilation of nothing": (lambda: replace(SEGMENT, rates=(0,)), r"Segment\.rates = \(0,\)"),
    "shorter than its warm-up": (lambda: replace(SEGMENT, schedule=Warmup(SEGMENT.schedule, epochs=2)), r"Segment\.schedule = .* 3 epochs"),
    "images without masks": (lambda: replace(SEGMENT, data=Digits()), r"Segment\.data = .*must be a SegmentedImages"),
    "crops of plain images": (lambda: replace(SEGMENT, crop=Resize(32)), r"Segment\.crop = .*must be a ScaleCrop or None"),
    "factors in falling order": (lambda: ScaleCrop((2.0, 0.5)), r"ScaleCrop\.scale = \(2\.0, 0\.5\)"),
    "a factor of nothing": (lambda: ScaleCrop((0.0, 1.0)), r"ScaleCrop\.scale = \(0\.0, 1\.0\)"),
    "more than always": (lambda: ScaleCrop(p=1.5), r"ScaleCrop\.p = 1\.5"),
    "a batch larger than the data": (
        lambda: SEGMENT.check(lambda data: 3),
        r"Segment\.batch_size = 4: is larger than the data \(3 images\)",
    ),
    "an encoder of grey images": (
        lambda: replace(SEGMENT, of=GREY).check(lambda data: 9),
        r"Segment\.data = .*images of 3 .* trained on 1",
    ),
    "the encoder's own stride": (
        lambda: replace(SEGMENT, output_stride=4).check(lambda data: 9),
        r"output_stride = 4: must be one of 1, 2, below .*Use None",
    ),
    "a stride between": (lambda: replace(SEGMENT, output_stride=3).check(lambda data: 9), r"output_stride = 3"),
    "official membership of 21 classes": (
        lambda: replace(SEGMENT, method=CoreTuning(membership="official")).check(lambda data: 9),
        r"CoreTuning\.membership = 'official': tells at most 18 classes apart, and the task has 21",
    ),
    "a measure of an encoder": (lambda: Segmentation(ENCODER, on=VOC), r"Segmentation\.of = .*must be a segmentation"),
    "a measure of other classes": (
        lambda: Segmentation(SEGMENT, on=MaskFolder(images="x", count=3)),
        r"Segmentation\.on = .*has 3 classes of pixels",
    ),
    "accuracy of images": (lambda: Accuracy(SEGMENT, on=Digits()), r"Accuracy\.of = .*gives a class for every pixel and none for an image"),
    "neighbours of images without labels": (lambda: KNN(ENCODER, on=VOC), r"KNN\.on = .*has classes for pixels and none for an image"),
    "a monitor of a segmentation": (
        lambda: World().controller(Sweep("x", lambda *_: {"m": Segmentation(SEGMENT, on=VOC)}, monitor="m")),
        r"Sweep\.monitor",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_segmented_is_refused_before_any_training(wrong):
    make, message = WRONG[wrong]
    with pytest.raises(UserError, match=message):
        make()
