"""Each batched operation, given each image's parameters, equals torchvision's function of that operation image by image.

Operations on levels are compared on uint8 images, to one level (1/255); the others on float images, to 1e-4.
"""

import math

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as peer
from scipy.interpolate import RBFInterpolator
from torchvision.transforms import InterpolationMode

from contrast.augmentations import HorizontalFlip, RandomCrop, Resize, levels
from contrast.augmentations.affine import affine, rotations, shears_x, shears_y, translations
from contrast.augmentations.bicubic import bicubic_crop
from contrast.augmentations.cutout import erase, squares
from contrast.augmentations.draws import Draws
from contrast.augmentations.gaussian_blur import gaussian_blur, kernel_size
from contrast.augmentations.horizontal_flip import random_flips
from contrast.augmentations.levels import GREY, Strength
from contrast.augmentations.random_crop import crops
from contrast.augmentations.sparse_warp import spline_bases, warp
from contrast.augmentations.tone import autocontrast, equalize, posterize, sharpen, solarize, solarize_add
from contrast.component import UserError

N = 24


def levels_of(n=N, channels=3, height=32, width=32, seed=0):
    """uint8 images: noise, few levels, one level, and dark ones."""
    x = torch.randint(0, 256, (n, channels, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    x[: n // 4] = x[: n // 4] // 64 * 64
    x[0] = 77
    x[n // 4 : n // 2] //= 5
    return x


def images(n=N, channels=3, height=32, width=32, seed=0):
    return levels_of(n, channels, height, width, seed).float() / 255


def numbers(low, high, n=N, seed=1):
    return np.random.default_rng(seed).uniform(low, high, n)


def column(values):
    return torch.tensor(values)[:, None, None, None]


def within_a_level(got, wanted):
    """`got` in [0, 1] against uint8 images."""
    assert (got * 255 - wanted.float()).abs().max() <= 1 + 1e-3


def close(got, wanted):
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)


def test_tones_without_a_parameter():
    x = levels_of()
    for ours, theirs in ((autocontrast, peer.autocontrast), (equalize, peer.equalize), (lambda x: 1 - x, peer.invert)):
        within_a_level(ours(x.float() / 255), torch.stack([theirs(image) for image in x]))


def test_equalize_is_torchvisions_to_the_level_and_on_large_images_too():
    for x in (levels_of(), levels_of(4, 1, 96, 64)):
        assert torch.equal((equalize(x.float() / 255) * 255).round().to(torch.uint8), torch.stack([peer.equalize(image) for image in x]))


def test_posterize_and_solarize():
    x = levels_of(27)
    bits = np.repeat(np.arange(9), 3)
    within_a_level(posterize(x.float() / 255, column(bits)), torch.stack([peer.posterize(i, int(b)) for i, b in zip(x, bits, strict=True)]))
    threshold = np.linspace(0, 255, 27).round()
    wanted = torch.stack([peer.solarize(i, float(t)) for i, t in zip(x, threshold, strict=True)])
    within_a_level(solarize(x.float() / 255, column(threshold).float()), wanted)
    assert torch.equal(solarize(x.float() / 255, torch.full((27, 1, 1, 1), 256.0)), x.float() / 255)


def test_solarize_add_raises_the_dark_levels_alone():
    x, addition = levels_of(), numbers(0, 111).round()
    levels = x.double()
    wanted = torch.where(levels < 128, (levels + column(addition)).clamp(max=255), levels)
    close(solarize_add(x.float() / 255, column(addition).float()), (wanted / 255).float())


def test_sharpen():
    x, factor = images(), numbers(0.1, 1.9)
    close(sharpen(x, column(factor).float()), torch.stack([peer.adjust_sharpness(i, f) for i, f in zip(x, factor, strict=True)]))


@pytest.mark.parametrize("channels", [1, 3])
def test_blends_at_a_level_are_torchvisions_by_its_factor(channels):
    x, level = images(channels=channels), numbers(0, 10)
    strength = Strength(level, np.ones(N), np.zeros((N, 2)))
    peers = [
        (levels.brightened, peer.adjust_brightness),
        (levels.contrasted, peer.adjust_contrast),
        (levels.coloured, peer.adjust_saturation),
    ]
    for ours, theirs in peers:
        close(ours(x.clone(), strength), torch.stack([theirs(i, 0.1 + 0.18 * v) for i, v in zip(x, level, strict=True)]))


def affine_peer(x, **given):
    arguments = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], "fill": [GREY]} | given
    return peer.affine(x, interpolation=InterpolationMode.NEAREST, **arguments)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40), (31, 17)])
def test_affine_maps(height, width):
    x, slope, angle = images(height=height, width=width), numbers(-0.3, 0.3), numbers(-180, 180)
    right, down = numbers(-width, width).round(), numbers(-height, height, seed=2).round()
    each = list(zip(x, slope, angle, right, down, strict=True))
    degrees = [math.degrees(math.atan(s)) for s in slope]
    within = [
        (rotations(angle), [peer.rotate(i, a, interpolation=InterpolationMode.NEAREST, fill=[GREY]) for i, _, a, _, _ in each]),
        (shears_x(slope, height), [affine_peer(i, shear=[s, 0.0], center=[0, 0]) for i, s in zip(x, degrees, strict=True)]),
        (shears_y(slope, width), [affine_peer(i, shear=[0.0, s], center=[0, 0]) for i, s in zip(x, degrees, strict=True)]),
        (translations(right, down), [affine_peer(i, translate=[int(r), int(d)]) for i, _, _, r, d in each]),
    ]
    for matrices, wanted in within:
        assert (affine(x, matrices, GREY) - torch.stack(wanted)).abs().max() <= 1 / 255


def test_operations_go_to_either_side_and_cut_squares_where_they_are_told():
    x = torch.zeros(2, 1, 32, 32)
    x[:, :, 16, 16] = 1
    strength = Strength(np.full(2, 10.0), np.array([1.0, -1.0]), np.array([[0.5, 0.5], [0.0, 0.99]]))
    assert levels.shifted_x(x, strength)[:, 0, 16].argmax(1).tolist() == [30, 2]
    assert levels.shifted_y(x, strength)[:, 0, :, 16].argmax(1).tolist() == [30, 2]
    out = levels.cut_out(x.clone(), strength)
    assert ((out == np.float32(GREY)).sum((1, 2, 3)) == torch.tensor([10 * 10, 5 * 6])).all()


def test_cutout_is_torchvisions_erase_with_the_part_outside_left_out():
    x, place = images(), np.random.default_rng(0).uniform(size=(N, 2))
    half = np.full(N, 8)
    boxes = squares(32, 32, half, half, place)
    wanted = [peer.erase(i, t, left, b - t, r - left, torch.zeros(1)) for i, (t, left, b, r) in zip(x, boxes.tolist(), strict=True)]
    assert torch.equal(erase(x.clone(), boxes, 0.0), torch.stack(wanted))
    assert (boxes[:, 2:] - boxes[:, :2] <= 16).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 8).all()


@pytest.mark.parametrize("side", [32, 96])
def test_gaussian_blur(side):
    x, sigma, size = images(8, height=side, width=side + 4), numbers(0.1, 2.0, 8), kernel_size(side)
    close(gaussian_blur(x, sigma, size), torch.stack([peer.gaussian_blur(i, [size, size], [s, s]) for i, s in zip(x, sigma, strict=True)]))


def test_the_kernel_is_a_tenth_of_the_side_made_odd():
    assert [kernel_size(side) for side in (8, 19, 20, 32, 96, 224)] == [1, 1, 3, 3, 9, 23]


def test_bicubic_crops():
    rng = np.random.default_rng(0)
    x = images(height=24, width=32)
    size = rng.integers(1, [25, 33], (N, 2))
    boxes = np.concatenate([rng.integers(0, [25, 33] - size), size], axis=1)
    bicubic = {"interpolation": InterpolationMode.BICUBIC, "antialias": True}
    wanted = [peer.resized_crop(i, *box, [24, 32], **bicubic) for i, box in zip(x, boxes.tolist(), strict=True)]
    close(bicubic_crop(x, boxes), torch.stack(wanted).clamp(0, 1))


@pytest.mark.parametrize("side", [10, 45])
def test_resize(side):
    x = images(4, height=20, width=30)
    wanted = peer.resize(x, [side], interpolation=InterpolationMode.BICUBIC, antialias=True).clamp(0, 1)
    close(Resize(side)(x, Draws(0, np.arange(4), 1, 1)), wanted)


def test_crops_and_flips():
    x, corners = images(), np.random.default_rng(0).integers(0, 9, (N, 2))
    wanted = [peer.crop(i, t, left, 24, 24) for i, (t, left) in zip(x, corners.tolist(), strict=True)]
    assert torch.equal(crops(x, corners, 24), torch.stack(wanted))
    draws = Draws(0, np.arange(N), 1, 1)
    flips = random_flips(0.5, draws)
    wanted = [peer.horizontal_flip(i) if f else i for i, f in zip(x, flips, strict=True)]
    assert torch.equal(HorizontalFlip()(x.clone(), draws), torch.stack(wanted))


def test_a_crop_larger_than_the_padded_image_is_refused():
    with pytest.raises(UserError, match=r"RandomCrop.side = 41: must not be larger than the padded image, and got images of 32 x 32"):
        RandomCrop(41)(images(2), Draws(0, np.arange(2), 1, 1))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
def test_the_splines_of_a_warp_are_scipys(height, width):
    """To 1e-8; each is 1 at its control point and 0 at the others and at the held points of the edge."""
    grid = np.stack(np.meshgrid(np.linspace(0, height - 1, 4), np.linspace(0, width - 1, 4), indexing="ij"), -1).reshape(-1, 2)
    pixels = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2)
    for base, inner in zip(spline_bases(height, width), (5, 6, 9, 10), strict=True):
        wanted = RBFInterpolator(grid, np.eye(16)[inner], kernel="thin_plate_spline")(pixels)
        np.testing.assert_allclose(base.ravel(), wanted, atol=1e-8)


def test_a_warp_is_torchvisions_elastic_by_the_displacement_of_its_splines():
    """Where the displacement stays within the image; beyond, the edge is read instead of black."""
    x, moves = images(6), np.random.default_rng(0).normal(size=(6, 4, 2)) * 2
    down, right = np.einsum("nkd,khw->dnhw", moves, spline_bases(32, 32))
    for image, got, dy, dx in zip(x, warp(x, moves), down, right, strict=True):
        displacement = torch.tensor(np.stack([-dx / 16, -dy / 16], -1)[None], dtype=torch.float32)
        rows, columns = np.mgrid[:32, :32]
        inside = torch.tensor((abs(rows - dy - 15.5) <= 15.5) & (abs(columns - dx - 15.5) <= 15.5))
        assert inside.float().mean() > 0.5
        close(got[:, inside], peer.elastic(image, displacement)[:, inside])


def test_a_warp_without_displacement_changes_nothing():
    x = images(3)
    close(warp(x, np.zeros((3, 4, 2))), x)
