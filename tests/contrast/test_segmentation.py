"""The parts of a segmentation: dilated encoders, DeepLab's head, crops of images with their masks, pixels as samples.

Dilated encoders are compared with strided ones where both have a place, the head with torchvision's model, losses and samples with
loops by hand.
"""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.models.segmentation import DeepLabV3
from torchvision.models.segmentation.deeplabv3 import DeepLabHead

from contrast import (
    CoreTuning,
    MLPHead,
    ResNet18,
    ResNet50,
    ScaleCrop,
    SmallResNet,
    VOC2012Segmentation,
)
from contrast.augmentations.draws import Draws
from contrast.data.segmented import IGNORED
from contrast.finetuning.method import Tuned
from contrast.random import generator
from contrast.segment import losses, pixel_cross_entropy
from contrast.segmentation.deep_lab import SegmentationNet, deep_lab_head
from contrast.segmentation.dilation import dilate_, spatial_parts, strides
from contrast.segmentation.pixel_samples import pixel_samples, rows_of_map

CORE = CoreTuning(eta=1.0, contrastor=MLPHead(2, out=8))


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
    net = SegmentationNet(VOC2012Segmentation.mean, VOC2012Segmentation.std, encoder, head).eval()
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


# ---- pixels as samples


def spotted(n=4, side=12, classes=3):
    """Random masks, a tenth of whose pixels have no class."""
    drawn = np.random.default_rng(0).choice([*range(classes), IGNORED], (n, side, side), p=[0.9 / classes] * classes + [0.1])
    return torch.from_numpy(drawn.astype(np.uint8))


def sampled(masks, size, most, ids, epoch=1):
    return pixel_samples(masks, size, Draws(0, ids, epoch, 1), most)


def test_every_place_of_the_map_that_has_a_class_is_a_sample_where_there_are_few():
    """Three pixels a side a place, so its class is that of the middle one; features are read at the same places."""
    masks, ids = spotted(), np.array([7, 3, 9, 4])
    found = sampled(masks, (4, 4), 100, ids)
    middles, features = masks[:, 1::3, 1::3], noise(4, 5, 4, 4)
    wanted = {(n, i, j): int(middles[n, i, j]) for n, i, j in np.argwhere(middles.numpy() != IGNORED)}
    places = {tuple(np.unravel_index(row, (4, 4, 4))): label for row, label in zip(found.rows, found.labels, strict=True)}
    assert places == wanted
    assert sorted(found.draws.ids) == sorted(ids[n] * 16 + i * 4 + j for n, i, j in wanted)
    torch.testing.assert_close(rows_of_map(features, found.rows), torch.stack([features[n, :, i, j] for n, i, j in places]))


def test_of_more_places_as_many_of_each_class_are_drawn_whatever_the_order_of_the_batch():
    masks, ids, turned = spotted(), np.arange(4), np.array([2, 0, 3, 1])
    found, other = sampled(masks, (12, 12), 20, ids), sampled(masks[turned], (12, 12), 20, ids[turned])
    assert np.bincount(found.labels).tolist() == [20] * 3
    assert set(found.draws.ids) == set(other.draws.ids)
    assert set(found.draws.ids) != set(sampled(masks, (12, 12), 20, ids, epoch=2).draws.ids)
    times = np.zeros(4 * 144)
    for epoch in range(400):
        times[sampled(masks, (12, 12), 20, ids, epoch).rows] += 1
    labels = masks.flatten().numpy()
    for label in range(3):  # the binomial count of one place, and the largest deviation of some 170 of them
        share = 20 / (labels == label).sum()
        assert np.abs(times[labels == label] - 400 * share).max() < 5 * np.sqrt(400 * share * (1 - share))
    assert not times[labels == IGNORED].any()


def tuned_net():
    encoder, head = SmallResNet(2).build(3, generator(0, "encoder")), deep_lab_head(8, 3, (1,), generator(0, "head"))
    net = SegmentationNet(VOC2012Segmentation.mean, VOC2012Segmentation.std, encoder, head)
    return Tuned(net, CORE.beside(net, 256, 3, 0), frozen=False).eval()


def test_core_tuning_on_pixels_is_core_tuning_of_the_samples_with_the_cross_entropy_of_all_pixels():
    tuned, pixels, masks, draws = tuned_net(), noise(4, 3, 12, 12), spotted(), Draws(0, np.arange(4), 1, 1)
    with torch.no_grad():
        loss, objective = losses(CORE, tuned, pixels, masks, draws)
        features = tuned.net.pixel_features(pixels)
        found = pixel_samples(masks, (3, 3), draws)
        rows, labels = rows_of_map(features, found.rows), torch.from_numpy(found.labels)
        logits = tuned.net.classify(rows)
        torch.testing.assert_close(logits, rows_of_map(tuned.net.top[-1](features), found.rows))
        alone = CORE.of_features(rows, labels, found.draws, tuned.net.classify, tuned.beside)
        torch.testing.assert_close(loss, pixel_cross_entropy(tuned.net(pixels), masks))
        torch.testing.assert_close(objective, alone - torch.nn.functional.cross_entropy(logits, labels) + loss)


def test_a_batch_without_classes_or_with_one_has_a_finite_objective():
    tuned, pixels, draws = tuned_net(), noise(4, 3, 12, 12), Draws(0, np.arange(4), 1, 1)
    for label in (IGNORED, 1):
        masks = torch.full((4, 12, 12), label, dtype=torch.uint8)
        masks[0, 0, 0] = 2 if label == 1 else IGNORED  # in the middle of no place
        loss, objective = losses(CORE, tuned, pixels, masks, draws)
        objective.backward()
        assert objective.isfinite()
        assert (loss == 0) == (label == IGNORED)
        assert all(weight.grad is None or weight.grad.isfinite().all() for weight in tuned.parameters())


def test_detached_images_teach_the_encoder_by_mixtures_alone():
    method, pixels = replace(CORE, detached=True), noise(4, 3, 12, 12)
    for masks, teaches in ((torch.ones(4, 12, 12, dtype=torch.uint8), False), (spotted(), True)):
        tuned = tuned_net()
        losses(method, tuned, pixels, masks, Draws(0, np.arange(4), 1, 1))[1].backward()
        assert any(weight.grad is not None for weight in tuned.net.encoder.parameters()) == teaches
        assert all(weight.grad is not None for weight in tuned.net.top[-1].parameters())
