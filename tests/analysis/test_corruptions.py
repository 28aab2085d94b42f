"""Corruptions against imagecorruptions and scipy, random ones against their distributions; never the split of a batch.

Images are a photograph, as JPEG and blur are judged on edges and textures. What is measured of them is in `test_corruption_error.py`.
"""

from functools import cache

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from analysis.corruptions import CORRUPTIONS, EXTRA, PROCEDURAL, SEVERITIES, STANDARD, corrupt
from analysis.corruptions import borders as beyond
from analysis.corruptions.blur import _copied
from analysis.corruptions.draws import Draws
from analysis.corruptions.elastic import _affine
from analysis.corruptions.noise import shot_noise
from analysis.corruptions.spatter import _distance
from contrast import UserError

PEERS = {"jpeg": "jpeg_compression"}
DETERMINISTIC = ("brightness", "contrast", "jpeg", "pixelate", "saturate", "gaussian_blur", "defocus_blur", "zoom_blur")
TABLES = ("cifar", "imagenet")


@cache
def photograph(side=224):
    """uint8 [side, side, 3]."""
    return np.array(Image.fromarray(load_sample_image("china.jpg")).resize((side * 10 // 7, side)))[:, :side].copy()


def batch(count=1, side=32):
    """Images [count, 3, side, side] of different brightness, of whole levels."""
    x = torch.from_numpy(photograph(side)).permute(2, 0, 1).float() * torch.linspace(1, 0.5, count).view(-1, 1, 1, 1)
    return x.round() / 255


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_what_is_not_random_is_that_of_imagecorruptions_to_a_level(name):
    from imagecorruptions import corrupt as peer

    for severity in SEVERITIES:
        ours = corrupt(batch(side=224), name, severity, np.arange(1), "imagenet")[0].permute(1, 2, 0) * 255
        theirs = peer(photograph(), severity=severity, corruption_name=PEERS.get(name, name)).astype(np.int64)
        difference = np.abs(ours.round().numpy() - theirs)
        assert difference.max() <= 1
        assert difference.mean() < (0.2 if name == "saturate" else 0.05)  # whole levels may fall by rounding


def feed(monkeypatch, kind, *arrays):
    """Makes numpy's next draws be standard ones of ours, scaled as it is asked to."""
    stream = iter(np.concatenate([np.ravel(array) for array in arrays]))

    def draw(first=0.0, second=1.0, size=(), *, loc=None, scale=None):
        numbers = np.array([next(stream) for _ in range(int(np.prod(size)))]).reshape(size)
        return loc + scale * numbers if kind == "normal" else first + (second - first) * numbers

    monkeypatch.setattr(np.random, kind, draw)


def test_weather_mud_and_streaks_are_those_of_imagecorruptions_under_equal_draws(monkeypatch):
    """Snow at severity 3, where the flakes are enlarged by a divisor of the side: elsewhere theirs keep another part of them."""
    from imagecorruptions import corruptions as peer

    ids, image = np.array([7]), Image.fromarray(photograph())
    feed(monkeypatch, "uniform", Draws(ids, "fog", 3).uniform("cloud", 256 * 256 - 1))
    pairs = [("fog", 3, peer.fog(image, 3))]
    draws = Draws(ids, "snow", 3)
    feed(monkeypatch, "normal", draws.normal("flakes", 224, 224))
    feed(monkeypatch, "uniform", draws.uniform("angle", 1))
    pairs.append(("snow", 3, peer.snow(image, 3)))
    feed(monkeypatch, "normal", Draws(ids, "spatter", 4).normal("drops", 224, 224))
    pairs.append(("spatter", 4, peer.spatter(image, 4)))
    feed(monkeypatch, "uniform", Draws(ids, "motion_blur", 2).uniform("angle", 1))
    pairs.append(("motion_blur", 2, peer.motion_blur(image, 2)))
    for name, severity, theirs in pairs:
        ours = corrupt(batch(side=224), name, severity, ids, "imagenet")[0].permute(1, 2, 0).numpy() * 255
        assert np.abs(ours.round() - np.uint8(theirs)).max() <= 2, name  # the two layers of snow are rounded before they are moved


def test_the_affine_map_takes_its_three_points_where_they_were_moved():
    x, moves = batch(2, 33), torch.tensor([[[3, -2], [0, 4], [-1, -5]], [[0, 0], [0, 0], [0, 0]]])
    y = _affine(x, moves.double())
    for column, row, move in zip((27, 27, 5), (27, 5, 5), moves[0], strict=True):
        assert torch.allclose(y[0, :, row + move[1], column + move[0]], x[0, :, row, column].double())
    assert torch.allclose(y[1], x[1].double())


@pytest.mark.parametrize("table", TABLES)
def test_noise_has_the_moments_of_its_table(table):
    """To 5 % on a tenth of a million pixels of mid-grey, where hardly any noise is clipped."""
    x = torch.full((1, 1, 320, 320), 128 / 255)
    sigma = {"cifar": 0.04, "imagenet": 0.08}[table]
    photons = {"cifar": 500, "imagenet": 60}[table]
    speckle = {"cifar": 0.06, "imagenet": 0.15}[table]
    share = {"cifar": 0.07, "imagenet": 0.27}[table]
    level = 128 / 255
    for name, deviation in (("gaussian_noise", sigma), ("shot_noise", (level / photons) ** 0.5), ("speckle_noise", level * speckle)):
        noise = corrupt(x, name, 1, np.array([3]), table) - x + 0.5 / 255  # cut down to whole levels
        assert noise.std().item() == pytest.approx(deviation, rel=0.05)
        assert abs(noise.mean().item()) < 0.05 * deviation
    lost = corrupt(x, "impulse_noise", 5, np.array([3]), table)
    for value in (0, 1):
        assert (lost == value).double().mean().item() == pytest.approx(share / 2, rel=0.05)


def test_shot_noise_counts_photons_as_the_quantiles_of_poisson_do():
    draws, x = Draws(np.array([5]), "shot_noise", 1), batch(1, 48)
    u = draws.uniform("photons", 3, 48, 48).numpy()
    expected = scipy.stats.poisson.ppf(u, x.numpy().astype(np.float64) * 60)
    assert np.array_equal((shot_noise(x, 1, "imagenet", draws) * 60).round().numpy(), expected)


def test_glass_is_what_a_loop_over_pixels_gives():
    draws = np.random.default_rng(0)
    for furthest, (height, width) in ((1, (9, 7)), (2, (16, 12)), (4, (11, 20)), (4, (3, 3))):
        x, shift = draws.integers(0, 256, (2, 3, height, width)), draws.integers(-furthest, furthest, (2, 2, height, width))
        looped = x.copy()
        for i in range(2):
            for h in range(height - furthest, furthest, -1):
                for w in range(width - furthest, furthest, -1):
                    dh, dw = shift[i, :, h, w]
                    looped[i, :, h, w] = looped[i, :, h + dh, w + dw]
        assert np.array_equal(_copied(torch.from_numpy(x), torch.from_numpy(shift), furthest), looped)


MODES = {beyond.edge: "nearest", beyond.mirror: "mirror", beyond.symmetric: "reflect"}


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.05, 9), st.sampled_from(list(MODES)))
def test_borders_are_those_of_scipy_however_small_the_image(height, width, sigma, border):
    draws = np.random.default_rng(height)
    x = draws.random((2, 3, height, width))
    smoothed = beyond.smooth(torch.from_numpy(x), sigma, 3.0, border)
    assert np.allclose(smoothed, scipy.ndimage.gaussian_filter(x, sigma, mode=MODES[border], truncate=3, axes=(2, 3)), atol=1e-12)
    places = draws.uniform(-15, 15, (2, 2, height, width))
    read = beyond.sampled(torch.from_numpy(x), *torch.from_numpy(places), border)
    expected = scipy.ndimage.map_coordinates(x[1, 2], places[:, 1], order=1, mode=MODES[border])
    assert np.allclose(read[1, 2], expected, atol=1e-10)


def test_distance_to_an_outline_is_euclids_up_to_20():
    outline = np.random.default_rng(1).random((2, 40, 33)) < 0.004
    outline[:, 3, 4] = True
    expected = [scipy.ndimage.distance_transform_edt(~one).clip(max=20) for one in outline]
    assert np.allclose(_distance(torch.from_numpy(outline)), expected)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_depends_on_the_sample_alone_and_stays_an_image(name, table):
    """Not on how a batch is split or ordered, nor on its neighbours; whole levels in [0, 1] come out."""
    x, ids = batch(5), np.array([3, 1 << 40, 12, 7, 0])
    for severity in (1, 4):
        whole = corrupt(x, name, severity, ids, table)
        order = [4, 2, 0, 1, 3]
        parts = [corrupt(x[rows], name, severity, ids[rows], table) for rows in (order[:1], order[1:3], order[3:])]
        assert torch.equal(torch.cat(parts), whole[order])
        assert whole.shape == x.shape
        assert whole.min() >= 0
        assert whole.max() <= 1
        assert torch.equal((whole * 255).round() / 255, whole)
        assert not torch.equal(whole, x)


def test_severity_0_is_the_image_and_distortion_grows_with_severity():
    x, ids = batch(2), np.arange(2)
    for table in TABLES:
        grown = []
        for name in CORRUPTIONS:
            assert torch.equal(corrupt(x, name, 0, ids, table), x)
            grown.append([(corrupt(x, name, severity, ids, table) - x).abs().mean().item() for severity in SEVERITIES])
        means = np.mean(grown, axis=0)
        assert (np.diff(means) > 0).all()
        steady = [name for name, row in zip(CORRUPTIONS, grown, strict=True) if row[4] > row[0]]
        assert set(CORRUPTIONS) - set(steady) <= {"elastic_transform"}  # smaller shifts at shorter waves


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 33), (1, 8, 8), (3, 2, 5), (3, 1, 1)], ids=str)
def test_grey_images_and_images_of_any_size_are_corrupted_too(shape):
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, *shape))).float() / 255
    for table, severity in zip(TABLES, (5, 2), strict=True):
        for name in CORRUPTIONS:
            y = corrupt(x, name, severity, np.arange(2), table)
            assert y.shape == x.shape
            assert y.isfinite().all()
            assert 0 <= y.min() <= y.max() <= 1
    grey = x[:, :1]
    assert torch.equal(corrupt(grey, "saturate", 5, np.arange(2)), (grey * 255).round() / 255)


def test_what_is_no_image_and_no_severity_is_refused():
    x, ids = batch(2), np.arange(2)
    for wrong, found in ((x * 255, "from .* to 25"), (x - 0.5, "from -"), (torch.full_like(x, torch.nan), "nan"), (x[:0], "0 images")):
        with pytest.raises(UserError, match=rf"x = .*{found}.*must be images in \[0, 1\]"):
            corrupt(wrong, "fog", 1, ids[: len(wrong)])
    for severity in (-1, 6):
        with pytest.raises(UserError, match=rf"severity = {severity}: must be an integer from 1 to 5"):
            corrupt(x, "fog", severity, ids)
    with pytest.raises(UserError, match="1 or 3 channels"):
        corrupt(x[:, :2], "fog", 1, ids)
    with pytest.raises(UserError, match="an id each"):
        corrupt(x, "fog", 1, ids[:1])


def test_there_are_fifteen_and_four():
    assert (len(STANDARD), len(EXTRA), set(STANDARD) & set(EXTRA)) == (15, 4, set())
    assert set(CORRUPTIONS) > PROCEDURAL
