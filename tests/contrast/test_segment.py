"""Segmentation fine-tunes a whole network, deterministically, and is measured by one confusion matrix.

Dilated encoders are compared with strided ones where both have a place, the head with torchvision's model, losses and scores with
sums by hand. Images are small files in the official layout of PASCAL VOC.
"""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.models.segmentation import DeepLabV3
from torchvision.models.segmentation.deeplabv3 import DeepLabHead

from analysis import KNN, Segmentation
from analysis.accuracy.confusion import segmentation_scores
from contrast import (
    SGD,
    ConvN,
    Digits,
    Diverged,
    MaskFolder,
    Resize,
    ResNet18,
    ResNet50,
    ScaleCrop,
    Segment,
    SmallResNet,
    Untrained,
    UserError,
    VOC2012Segmentation,
    Warmup,
)
from contrast.data.segmented import IGNORED
from contrast.random import generator
from contrast.segment import pixel_cross_entropy
from contrast.segmentation.deep_lab import SegmentationNet, deep_lab_head
from contrast.segmentation.dilation import dilate_, spatial_parts, strides
from sweeps import Sweep
from sweeps.engines.worker import Place
from tests.bench import Bench, assert_same, curve
from tests.contrast.scenes import write_folder, write_voc
from tests.world import World

VOC = VOC2012Segmentation(side=16)
ENCODER = Untrained(data=VOC, encoder=SmallResNet(2), seed=0)
SEGMENT = Segment(ENCODER, data=VOC, seed=1, epochs=2, batch_size=4, rates=(1, 2), crop=ScaleCrop(), output_stride=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Images of both layouts."""
    folder = write_voc(tmp_path_factory.mktemp("scenes"))
    return write_folder(folder, train=16, val=6)


@pytest.fixture
def bench(tmp_path, root, cache):
    return Bench(tmp_path, root)


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# ---- the network


ENCODERS = [
    (SmallResNet(4), 2),
    (SmallResNet(4, 2), 1),
    (ResNet18("imagenet", 4), 16),
    (ResNet18("imagenet", 4), 8),
    (ResNet50("imagenet", 4), 8),
]


@pytest.mark.parametrize(("encoder", "stride"), ENCODERS, ids=repr)
def test_a_dilated_encoder_gives_at_every_place_of_the_strided_one_what_that_gives(encoder, stride):
    """In float64 to 1e-10, with statistics that are not the initial ones; and it has the places between."""
    plain, dilated = (encoder.build(3, generator(0, "encoder")).double() for _ in range(2))
    for net in (plain, dilated):
        torch.manual_seed(1)
        for buffer in net.buffers():
            if buffer.dtype == torch.float64:
                buffer.copy_(torch.rand(buffer.shape).double() + 0.5)
    dilate_(dilated, stride, 3)
    x, maps = noise(2, 3, 64, 64).double(), []
    for net in (plain.eval(), dilated.eval()):
        h = x
        with torch.no_grad():
            for _, part in spatial_parts(net):
                h = part(h)
        maps.append(h)
    step = maps[1].shape[-1] // maps[0].shape[-1]
    assert maps[1].shape[-1] == 64 // stride
    torch.testing.assert_close(maps[1][..., ::step, ::step], maps[0], rtol=1e-10, atol=1e-10)
    assert np.prod(list(strides(dilated, 3).values())) == stride


def test_the_network_is_torchvisions_deep_lab_on_the_encoders_last_map():
    encoder, head = SmallResNet(4).build(3, generator(0, "encoder")), deep_lab_head(16, 5, (1, 2), generator(0, "head"))
    net = SegmentationNet(VOC.mean, VOC.std, encoder, head).eval()
    theirs = DeepLabHead(16, 5, (1, 2)).eval()
    theirs.load_state_dict(head.state_dict())

    class Backbone(torch.nn.Module):
        def forward(self, x):
            for _, part in spatial_parts(encoder):
                x = part(x)
            return OrderedDict(out=x)

    x = noise(2, 3, 24, 32)
    with torch.no_grad():
        peer = DeepLabV3(Backbone(), theirs).eval()((x - net.mean) / net.std)["out"]
        torch.testing.assert_close(net(x), peer)
        torch.testing.assert_close(net.features(x), encoder((x - net.mean) / net.std))


def test_the_head_is_a_function_of_its_generator_alone():
    first = deep_lab_head(8, 3, (1,), generator(0, "head")).state_dict()
    state = torch.get_rng_state()
    second = deep_lab_head(8, 3, (1,), generator(0, "head")).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["0.convs.0.0.weight"], deep_lab_head(8, 3, (1,), generator(1, "head")).state_dict()["0.convs.0.0.weight"])


# ---- the loss


def test_the_loss_is_the_mean_over_pixels_that_have_a_class():
    logits, masks = (
        noise(2, 3, 4, 5, seed=1),
        torch.from_numpy(np.random.default_rng(0).choice([0, 1, 2, IGNORED], (2, 4, 5)).astype(np.uint8)),
    )
    each = [-logits[n, :, i, j].log_softmax(0)[masks[n, i, j].long()] for n, i, j in np.argwhere(masks.numpy() != IGNORED)]
    torch.testing.assert_close(pixel_cross_entropy(logits, masks), torch.stack(each).mean())
    assert pixel_cross_entropy(logits, torch.full_like(masks, IGNORED)) == 0


# ---- images and masks together


def pair(n=6, side=16):
    """Masks of blocks of 4 x 4 pixels, and images that are their masks in three channels."""
    blocks = np.random.default_rng(0).integers(0, 4, (n, side // 4, side // 4)).astype(np.uint8)
    masks = torch.from_numpy(blocks.repeat(4, 1).repeat(4, 2))
    return (masks.float() / 3)[:, None].repeat(1, 3, 1, 1), masks


FILL = torch.full((1, 3, 1, 1), 2.0)


def cropped(crop, ids=np.arange(6), epoch=1, seed=0):
    pixels, masks = pair()
    return crop(pixels[: len(ids)], masks[: len(ids)], FILL, ids, seed, epoch)


def test_the_same_size_is_the_image_itself_and_its_mirror_image():
    pixels, masks = pair()
    for p, expected in ((0.0, (pixels, masks)), (1.0, (pixels.flip(3), masks.flip(2)))):
        found = cropped(ScaleCrop((1.0, 1.0), p))
        torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=0)
        assert torch.equal(found[1], expected[1])


@pytest.mark.parametrize("scale", [(0.3, 0.6), (1.2, 2.0)])
def test_a_mask_is_cropped_as_its_image_is(scale):
    """Away from borders of classes the image is its mask's class; around it is the fill, and no class."""
    image, mask = cropped(ScaleCrop(scale))
    around = mask == IGNORED
    assert around.any() == (scale[0] < 1)
    np.testing.assert_allclose(around.float().mean((1, 2)) > 1 - scale[1] ** 2 - 0.2, True)
    level = np.where(around, 6, mask).astype(float) / 3
    apart = np.abs(image[:, 0].numpy() - level)
    inner = np.zeros_like(apart, dtype=bool)
    inner[:, 1:-1, 1:-1] = np.all(
        [np.roll(level, (i, j), (1, 2))[:, 1:-1, 1:-1] == level[:, 1:-1, 1:-1] for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0
    )
    assert inner.sum() > 20
    assert apart[inner].max() < 1e-4


def test_crops_follow_from_seed_epoch_and_id_alone():
    crop, one = ScaleCrop(), cropped(ScaleCrop())
    alone = cropped(crop, ids=np.arange(3))
    assert all(torch.equal(a, b[:3]) for a, b in zip(alone, one, strict=True))
    assert not any(
        torch.equal(other[0], one[0]) for other in (cropped(crop, epoch=2), cropped(crop, seed=1), cropped(crop, np.arange(1, 7)))
    )


# ---- the stage


def test_a_segmentation_goes_on_to_the_last_bit_after_any_epoch(bench):
    """With crops, dropout and dilation; whatever is drawn from global generators meanwhile."""
    bench.run(ENCODER)
    assert_same(bench.run(SEGMENT, [1]), bench.run(SEGMENT))


def test_a_segmentation_trains_and_is_measured_over_the_whole_set(bench):
    """Its classes are told by colour. The matrix is counted again by hand from the network's logits, image by image."""
    data = MaskFolder(images="streets", count=4, side=32)
    encoder = Untrained(data=data, encoder=SmallResNet(4), seed=0)
    bench.run(encoder)
    before = (bench.done[encoder].folder / "weights.safetensors").read_bytes()
    shared = {name: tensor.clone() for name, tensor in bench.net(encoder).state_dict().items()}
    stage = Segment(encoder, data=data, seed=0, epochs=5, batch_size=4, rates=(1, 2), optimizer=SGD(lr=0.05, nesterov=True))
    losses = [line["loss"] for line in curve(bench.run(stage))]
    assert losses[-1] < 0.6 * losses[0]
    assert bench.done[stage].results == {"loss": losses[-1]}
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
    assert bench.run(KNN(stage, on=replace(data, part="test"), k=3)).results == {"accuracy": 100}


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
    "an encoder of grey images": (lambda: replace(SEGMENT, of=GREY).check(lambda data: 9), r"Segment\.of = .*images of 1 channels"),
    "the encoder's own stride": (
        lambda: replace(SEGMENT, output_stride=4).check(lambda data: 9),
        r"output_stride = 4: .*\(1, 1, 2, 4\).*Use None",
    ),
    "a stride between": (lambda: replace(SEGMENT, output_stride=3).check(lambda data: 9), r"output_stride = 3"),
    "a measure of an encoder": (lambda: Segmentation(ENCODER, on=VOC), r"Segmentation\.of = .*must be a segmentation"),
    "a measure of other classes": (
        lambda: Segmentation(SEGMENT, on=MaskFolder(images="x", count=3)),
        r"Segmentation\.on = .*has 3 classes of pixels",
    ),
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
