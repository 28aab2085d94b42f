"""Small files in the official layouts of the data sets of transfer. Every image has two colours of its own."""

import json

import numpy as np
from PIL import Image
from scipy.io import savemat


class Painter:
    """Writes images, each of two other colours and some grey."""

    def __init__(self):
        self.count = 0

    def __call__(self, file, size=(12, 9)):
        self.count += 1
        file.parent.mkdir(parents=True, exist_ok=True)
        left, right = np.random.default_rng(self.count).integers(0, 256, (2, 3), dtype=np.uint8)
        columns = np.where(np.arange(size[0])[:, None] < size[0] // 2, left, right).astype(np.uint8)
        image = Image.fromarray(np.broadcast_to(columns, (size[1], *columns.shape)).copy())
        image.convert("L" if self.count % 7 == 0 else "RGB").save(file, "JPEG", quality=95)


def write(file, lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def names(count, form="class_{:03d}"):
    return [form.format(i) for i in range(count)]


def dtd(root, paint):
    home = root / "dtd" / "dtd"
    for part in ("train", "val", "test"):
        paths = [f"{c}/{c}_{part}.jpg" for c in names(47)]
        write(home / "labels" / f"{part}1.txt", paths)
        write(home / "labels" / f"{part}2.txt", [path.replace(part, {"train": "test", "test": "train"}.get(part, part)) for path in paths])
        for path in paths:
            paint(home / "images" / path)


def aircraft(root, paint):
    """Variants have blanks and slashes in their names, and are not listed in order of name."""
    data, variants = root / "fgvc-aircraft-2013b" / "data", ["F/A-18", *names(98, "Boeing 7{:02d}"), "A310"]
    write(data / "variants.txt", variants)
    for part, first in (("trainval", 100), ("test", 500)):
        write(data / f"images_variant_{part}.txt", [f"{first + i:07d} {variant}" for i, variant in enumerate(variants)])
        for i in range(100):
            paint(data / "images" / f"{first + i:07d}.jpg")


def cars(root, paint):
    home = root / "stanford_cars"
    (home / "devkit").mkdir(parents=True)
    savemat(home / "devkit" / "cars_meta.mat", {"class_names": np.array(names(196), dtype=object)})
    for part, file in (("train", home / "devkit" / "cars_train_annos.mat"), ("test", home / "cars_test_annos_withlabels.mat")):
        kind = [(name, object) for name in ("bbox_x1", "class", "fname")]
        annotations = np.array([(5, (i * 5) % 196 + 1, f"{i + 1:05d}.jpg") for i in range(196)], dtype=kind)
        savemat(file, {"annotations": annotations})
        for i in range(196):
            paint(home / f"cars_{part}" / f"{i + 1:05d}.jpg")


def pets(root, paint):
    """The breeds' ids are in order of name where case does not count."""
    home, breeds = root / "oxford-iiit-pet", [f"{'Breed' if i % 3 else 'breed'}_{i:02d}" for i in range(37)]
    for part, first in (("trainval", 1), ("test", 11)):
        write(
            home / "annotations" / f"{part}.txt",
            [f"{b}_{first + j} {i + 1} {1 + bool(i % 3)} 1" for i, b in enumerate(breeds) for j in (0, 1)],
        )
        for breed in breeds:
            for j in (0, 1):
                paint(home / "images" / f"{breed}_{first + j}.jpg")


def flowers(root, paint):
    home = root / "flowers-102"
    labels = np.random.default_rng(0).permutation(np.arange(306) % 102) + 1
    order = np.argsort(labels, kind="stable").reshape(102, 3).T + 1
    for i in range(306):
        paint(home / "jpg" / f"image_{i + 1:05d}.jpg")
    savemat(home / "imagelabels.mat", {"labels": labels.astype(np.uint8)[None]})
    savemat(home / "setid.mat", {name: order[i].astype(np.uint16)[None] for i, name in enumerate(("trnid", "valid", "tstid"))})


def food(root, paint):
    home = root / "food-101"
    for part, image in (("train", 7), ("test", 3)):
        listed = {c: [f"{c}/{image}"] for c in reversed(names(101))}
        write(home / "meta" / f"{part}.json", [json.dumps(listed)])
        for paths in listed.values():
            paint(home / "images" / f"{paths[0]}.jpg")


def sun(root, paint):
    """Scenes in folders of their first letter, some a folder deeper, listed in an order of their own."""
    home = root / "SUN397"
    scenes = [*(f"/{c[0]}/{c}" for c in names(396, "s{:03d}")[::-1]), "/a/apartment/outdoor"]
    write(home / "ClassName.txt", scenes)
    for file, image in (("Training_01", "a"), ("Testing_01", "b"), ("Training_02", "b"), ("Testing_02", "a")):
        write(home / f"{file}.txt", [f"{scene}/sun_{image}.jpg" for scene in scenes])
    for scene in scenes:
        for image in "ab":
            paint(home / scene[1:] / f"sun_{image}.jpg")


def caltech(root, paint):
    home = root / "caltech101" / "101_ObjectCategories"
    for c in ["BACKGROUND_Google", "Faces", *names(100)]:
        for i in range(33 if c in ("Faces", "class_000", "BACKGROUND_Google") else 1):
            paint(home / c / f"image_{i + 1:04d}.jpg")


def synsets(root, paint):
    for home, some in (("imagenette2", names(10, "n0{}0")), ("imagewoof2", names(10, "n0{}5"))):
        for part in ("train", "val"):
            for c in some:
                paint(root / home / part / c / f"{c}_1.JPEG")


def birds(root, paint):
    for part in ("train", "test"):
        for c in names(500, "Bird_{:03d}"):
            paint(root / "birdsnap" / part / c / "1.jpg")
