"""Small segmented images, written in the layouts that data sets read: rectangles, each class in a colour of its own."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZES = [(32, 32), (40, 30), (24, 36), (32, 20)]  # (width, height)


def scene(number, size=None, classes=4, void=True):
    """An image [H, W, 3] and its mask [H, W]: background, a rectangle, and a line that belongs to no class."""
    rng = np.random.default_rng(number)
    width, height = size or SIZES[number % len(SIZES)]
    mask = np.zeros((height, width), dtype=np.uint8)
    top, left = rng.integers(2, height // 3), rng.integers(2, width // 3)
    mask[top : top + height // 2, left : left + width // 2] = 1 + number % (classes - 1)
    if void:
        mask[top, left : left + width // 2] = 255
    colours = np.random.default_rng(99).integers(40, 216, (256, 3))
    noise = rng.integers(-20, 21, (height, width, 3))
    return (colours[mask] + noise).astype(np.uint8), mask


def save_mask(mask, path, mode="P"):
    image = Image.fromarray(mask, "L")
    if mode == "P":
        image = Image.fromarray(mask, "P")
        image.putpalette(np.random.default_rng(1).integers(0, 256, 768).tolist())
    image.save(path)


def write_voc(root, train=12, val=5, **given):
    """`VOCdevkit/VOC2012` under `root`; returns the root."""
    home = Path(root) / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    for listed, numbers in (("train", range(train)), ("val", range(train, train + val))):
        names = [f"2012_{number:06d}" for number in numbers]
        (home / "ImageSets" / "Segmentation" / f"{listed}.txt").write_text("".join(f"{name}\n" for name in names))
        for name, number in zip(names, numbers, strict=True):
            image, mask = scene(number, **given)
            Image.fromarray(image).save(home / "JPEGImages" / f"{name}.jpg", quality=95)
            save_mask(mask, home / "SegmentationClass" / f"{name}.png")
    return Path(root)


def write_folder(root, name="streets", train=12, val=5, mode="L", **given):
    """`<name>/<split>/images` and `masks` under `root`; returns the root."""
    for split, numbers in (("train", range(train)), ("val", range(train, train + val))):
        home = Path(root) / name / split
        for folder in ("images", "masks"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            image, mask = scene(number, **given)
            Image.fromarray(image).save(home / "images" / f"{number}.png")
            save_mask(mask, home / "masks" / f"{number}.png", mode)
    return Path(root)
