"""Each operation equals torchvision's at the same parameters, parameters are drawn as torchvision draws them, and a sample's
views depend on nothing but (seed, epoch, id, view).

Peer: torchvision on float tensors. Tolerance 1e-4, far below one grey level (1/255). Distributions: two samples of several
thousand parameters under fixed seeds, compared by Kolmogorov-Smirnov or chi-square tests at p > 1e-3.
"""

import itertools

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as peer
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchvision.transforms import ColorJitter, RandomResizedCrop

from contrast.augmentations import CropFlip, CropViews, Plain, SimCLRViews
from contrast.augmentations.color_jitter import Jitter, color_jitter_, random_jitter
from contrast.augmentations.draws import Draws
from contrast.augmentations.grayscale import grayscale_, random_grays
from contrast.augmentations.horizontal_flip import horizontal_flip, random_flips
from contrast.augmentations.resized_crop import random_boxes, resized_crop
from contrast.component import UserError

TOLERANCE = 1e-4
ALL = [SimCLRViews(), SimCLRViews(views=3), CropFlip(), CropViews(), CropViews(views=1, scale=(0.2, 0.4)), Plain()]
MANY = Draws(seed=0, ids=np.arange(6_000), epoch=1, views=1)
STRENGTH = (0.4, 0.4, 0.4, 0.1)
PEERS = (peer.adjust_brightness, peer.adjust_contrast, peer.adjust_saturation, peer.adjust_hue)


def images(n, channels=3, height=32, width=32, seed=0):
    """Random images, the first quarter of few levels (ties, greys, black, white), so that the corners of hue are met."""
    x = torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed))
    x[: n // 4] = (x[: n // 4] * 2).round() / 2
    return x


def close(got, wanted):
    torch.testing.assert_close(got, wanted, atol=TOLERANCE, rtol=0)


@st.composite
def image_and_box(draw):
    height, width = draw(st.integers(2, 33)), draw(st.integers(2, 33))
    h, w = draw(st.integers(1, height)), draw(st.integers(1, width))
    return height, width, (draw(st.integers(0, height - h)), draw(st.integers(0, width - w)), h, w)


@given(image_and_box(), st.sampled_from([1, 3]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_crop_equals_torchvisions_and_a_flip_its_mirror_image(case, channels, flipped):
    height, width, box = case
    x = images(2, channels, height, width)
    wanted = peer.resized_crop(x, *box, [height, width], antialias=False)
    boxes = horizontal_flip(np.array([box, box]), np.array([flipped, not flipped]))
    got = resized_crop(x, boxes)
    close(got[0], peer.horizontal_flip(wanted[0]) if flipped else wanted[0])
    close(got[1], wanted[1] if flipped else peer.horizontal_flip(wanted[1]))


def test_the_whole_image_as_box_changes_nothing():
    x = images(4)
    close(resized_crop(x, np.array([[0, 0, 32, 32]] * 4)), x)


@pytest.mark.parametrize("operation", range(4))
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4])
def test_each_colour_operation_alone_equals_torchvisions(operation, factor):
    x, neutral = images(40), np.array([1.0, 1.0, 1.0, 0.0])
    neutral[operation] = factor if operation != 3 else factor / 1.4 - 0.5  # hue: from -0.5 to 0.5 turns
    jitter = Jitter(np.full(40, True), np.tile(neutral, (40, 1)), np.tile(np.arange(4), (40, 1)))
    close(color_jitter_(x.clone(), jitter), PEERS[operation](x, neutral[operation]))


def test_jitter_in_every_order_equals_torchvisions_image_by_image():
    orders = np.array(list(itertools.permutations(range(4))) * 8)
    n = len(orders)
    x, factors = images(n), random_jitter(STRENGTH, 1.0, MANY).factors[:n]
    got = color_jitter_(x.clone(), Jitter(np.full(n, True), factors, orders))
    for row in range(n):
        wanted = x[row]
        for operation in orders[row]:
            wanted = PEERS[operation](wanted, float(factors[row, operation]))
        close(got[row], wanted)


def test_jitter_touches_only_the_images_it_names():
    x, jitter = images(9), random_jitter(STRENGTH, 0.5, MANY).take(np.arange(9))
    out = color_jitter_(x.clone(), jitter)
    assert 0 < jitter.applied.sum() < 9
    assert [bool((out[row] != x[row]).any()) for row in range(9)] == jitter.applied.tolist()


def test_grayscale_equals_torchvisions_on_the_named_images():
    x = images(8)
    grays = np.array([True, False] * 4)
    out = grayscale_(x.clone(), grays)
    close(out[grays], peer.rgb_to_grayscale(x[grays], num_output_channels=3))
    assert torch.equal(out[~grays], x[~grays])


@pytest.mark.parametrize(("size", "scale"), [((32, 32), (0.2, 1.0)), ((28, 28), (0.5, 1.0)), ((24, 40), (0.08, 1.0)), ((8, 8), (0.5, 1.0))])
def test_boxes_are_distributed_as_torchvisions(size, scale):
    torch.manual_seed(0)
    blank = torch.zeros(3, *size)
    wanted = np.array([RandomResizedCrop.get_params(blank, list(scale), [3 / 4, 4 / 3]) for _ in range(len(MANY.ids))])
    got = random_boxes(size, scale, MANY)
    assert (got[:, :2] >= 0).all()
    assert (got[:, :2] + got[:, 2:] <= np.array(size)).all()
    for side in range(4):
        assert stats.ks_2samp(got[:, side], wanted[:, side]).pvalue > 1e-3
    assert stats.ks_2samp(got[:, 2] * got[:, 3], wanted[:, 2] * wanted[:, 3]).pvalue > 1e-3
    assert stats.ks_2samp(got[:, 3] / got[:, 2], wanted[:, 3] / wanted[:, 2]).pvalue > 1e-3
    assert np.abs(np.corrcoef(got.T) - np.corrcoef(wanted.T)).max() < 5 * np.sqrt(2 / len(got))


@pytest.mark.parametrize("size", [(4, 40), (40, 4), (30, 32)])
def test_when_ten_attempts_do_not_fit_the_box_is_torchvisions_central_one(size):
    scale = (1.0, 1.0)
    fitting = {tuple(box) for box in random_boxes(size, scale, MANY)}
    torch.manual_seed(0)
    wanted = {RandomResizedCrop.get_params(torch.zeros(3, *size), list(scale), [3 / 4, 4 / 3]) for _ in range(3_000)}
    assert fitting == wanted


def test_jitter_is_distributed_as_torchvisions():
    torch.manual_seed(0)
    ranges = ([0.6, 1.4], [0.6, 1.4], [0.6, 1.4], [-0.1, 0.1])
    peers = [ColorJitter.get_params(*ranges) for _ in range(4_000)]
    jitter = random_jitter(STRENGTH, 0.8, MANY)
    for operation in range(4):
        assert stats.ks_2samp(jitter.factors[:, operation], [p[1 + operation] for p in peers]).pvalue > 1e-3
    counts = [np.sum((jitter.order == order).all(axis=1)) for order in itertools.permutations(range(4))]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.binomtest(int(jitter.applied.sum()), len(MANY.ids), 0.8).pvalue > 1e-3
    assert np.abs(np.corrcoef(jitter.factors.T) - np.eye(4)).max() < 5 / np.sqrt(len(MANY.ids))


def test_flips_and_greys_come_with_their_probability_and_apart():
    flips, grays = random_flips(0.5, MANY), random_grays(0.2, MANY)
    assert stats.binomtest(int(flips.sum()), len(flips), 0.5).pvalue > 1e-3
    assert stats.binomtest(int(grays.sum()), len(grays), 0.2).pvalue > 1e-3
    assert abs(np.corrcoef(flips, grays)[0, 1]) < 5 / np.sqrt(len(flips))


@pytest.mark.parametrize("views", ALL, ids=repr)
@given(st.lists(st.integers(0, 11), max_size=4), st.permutations(range(12)))
@settings(max_examples=12, deadline=None)
def test_views_do_not_depend_on_batch_split_or_order(views, cuts, order):
    x, ids = images(12, height=16, width=16), np.arange(12) * 1_000_003
    whole = views(x, ids, seed=1, epoch=2)
    assert whole.shape == (12, views.count, 3, 16, 16)
    edges = [0, *sorted(cuts), 12]
    for start, stop in itertools.pairwise(edges):
        rows = np.array(order[start:stop], dtype=np.int64)
        if len(rows):
            part = views(x[rows], ids[rows], seed=1, epoch=2)
            assert torch.equal(part, whole[rows])


@pytest.mark.parametrize("views", ALL, ids=repr)
def test_views_repeat_stay_in_range_and_leave_the_images_alone(views):
    x, ids = images(20), np.arange(20)
    before = x.clone()
    first = views(x, ids, seed=0, epoch=1)
    assert torch.equal(first, views(x, ids, seed=0, epoch=1))
    assert torch.equal(x, before)
    assert first.min() >= -1e-6
    assert first.max() <= 1 + 1e-6
    assert not first.requires_grad


@pytest.mark.parametrize("views", [SimCLRViews(), CropFlip(), CropViews()], ids=repr)
def test_views_differ_by_view_epoch_seed_and_id(views):
    x, ids = images(1).expand(64, -1, -1, -1), np.arange(64)
    first = views(x, ids, seed=0, epoch=1)
    others = [views(x, ids, seed=0, epoch=2), views(x, ids, seed=1, epoch=1), views(x, ids + 64, seed=0, epoch=1)]
    for other in [*others, first.flip(1)] if views.count > 1 else others:
        same = (first - other).abs().amax(dim=(1, 2, 3, 4)) < TOLERANCE
        assert same.float().mean() < 0.1  # a few crops of the whole image agree by chance


def test_supervised_views_share_the_first_crop_of_the_contrastive_ones():
    x, ids = images(32), np.arange(32)
    plain = CropFlip()(x, ids, seed=5, epoch=3)
    drawn = Draws(5, ids, 3, views=1)
    uncoloured = ~random_grays(0.2, drawn) & ~random_jitter(STRENGTH, 0.8, drawn).applied
    assert uncoloured.any()
    assert torch.equal(SimCLRViews()(x, ids, seed=5, epoch=3)[uncoloured, 0], plain[uncoloured, 0])


def test_on_grey_images_only_brightness_and_contrast_apply():
    x, ids = images(40, channels=1), np.arange(40)
    got = SimCLRViews()(x, ids, seed=0, epoch=1)
    drawn = Draws(0, ids, 1, views=1)
    wanted = resized_crop(x, horizontal_flip(random_boxes((32, 32), (0.2, 1.0), drawn), random_flips(0.5, drawn)))
    jitter = random_jitter(STRENGTH, 0.8, drawn)
    for row in np.flatnonzero(jitter.applied):
        for operation in jitter.order[row]:
            wanted[row] = PEERS[operation](wanted[row], float(jitter.factors[row, operation]))
    close(got[:, 0], wanted)


def test_plain_is_the_image_itself():
    x = images(3)
    assert torch.equal(Plain()(x, np.arange(3), seed=0, epoch=1)[:, 0], x)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: SimCLRViews(views=0), "SimCLRViews.views = 0"),
        (lambda: CropViews(views=0), "CropViews.views = 0"),
        (lambda: CropViews(scale=(0.0, 1.0)), "CropViews.scale"),
        (lambda: CropViews(scale=(0.8, 0.5)), "CropViews.scale"),
        (lambda: CropViews(scale=(0.5, 1.5)), "CropViews.scale"),
    ],
)
def test_values_out_of_range_are_refused_by_field(make, field):
    with pytest.raises(UserError, match=field):
        make()


def test_colour_views_refuse_other_channel_counts():
    with pytest.raises(UserError, match="1 or 3 channels, not 5"):
        SimCLRViews()(torch.rand(2, 5, 8, 8), np.arange(2), seed=0, epoch=1)
