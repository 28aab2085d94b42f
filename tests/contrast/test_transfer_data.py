"""The data sets of transfer are read from small files in their official layouts, as torchvision's own classes read the same folder.

Every image has two colours of its own, so that one read at the wrong place is another image.
"""

import json
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch
import torchvision.datasets as peer
import torchvision.transforms.functional as scaling
from PIL import Image
from scipy.io import savemat

from contrast import core256
from contrast.component import UserError
from contrast.data import (
    DTD,
    SUN397,
    Birdsnap,
    Caltech101,
    FGVCAircraft,
    Flowers102,
    Food101,
    ImageNet20,
    OxfordPets,
    StanfordCars,
)

pytestmark = pytest.mark.usefixtures("cache")
SIDE = 8


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
    """The breeds' ids are not in order of name, as upper case comes first."""
    home, breeds = root / "oxford-iiit-pet", [f"{'Cat' if i % 3 else 'dog'}_{i}" for i in range(37)]
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


LAYOUTS = {
    DTD(side=SIDE): (dtd, lambda root, part: [peer.DTD(root, name) for name in (("train", "val") if part == "whole" else ("test",))]),
    FGVCAircraft(side=SIDE): (aircraft, lambda root, part: [peer.FGVCAircraft(root, "trainval" if part == "whole" else "test")]),
    StanfordCars(side=SIDE): (cars, lambda root, part: [peer.StanfordCars(root, "train" if part == "whole" else "test")]),
    OxfordPets(side=SIDE): (pets, lambda root, part: [peer.OxfordIIITPet(root, "trainval" if part == "whole" else "test")]),
    Flowers102(side=SIDE): (
        flowers,
        lambda root, part: [peer.Flowers102(root, name) for name in (("train", "val") if part == "whole" else ("test",))],
    ),
    Food101(side=SIDE): (food, lambda root, part: [peer.Food101(root, "train" if part == "whole" else "test")]),
    ImageNet20(side=SIDE): (
        synsets,
        lambda root, part: [
            peer.ImageFolder(root / home / ("train" if part == "whole" else "val")) for home in ("imagenette2", "imagewoof2")
        ],
    ),
    Birdsnap(side=SIDE): (birds, lambda root, part: [peer.ImageFolder(root / "birdsnap" / ("train" if part == "whole" else "test"))]),
}


def scaled(image, side=SIDE):
    """torchvision's Resize and CenterCrop, of an image as its loader opens it."""
    return np.asarray(scaling.center_crop(scaling.resize(image.convert("RGB"), side), side)).transpose(2, 0, 1).tobytes()


def pairs(images):
    return sorted((int(y), x.tobytes()) for x, y in zip(images.pixels, images.labels, strict=True))


@pytest.fixture
def unchecked(monkeypatch):
    """torchvision does not compare the lists of flowers with those published."""
    monkeypatch.setattr("torchvision.datasets.flowers102.check_integrity", lambda *_: True)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dataset", LAYOUTS, ids=lambda dataset: dataset.name)
def test_the_official_layout_gives_the_images_and_labels_of_torchvisions_class(dataset, tmp_path):
    build, torchvisions = LAYOUTS[dataset]
    build(tmp_path, Painter())
    for part in ("whole", "test"):
        loaded = replace(dataset, part=part).load(tmp_path)
        peers = torchvisions(tmp_path, part)
        ids = [2 * y + i if isinstance(dataset, ImageNet20) else y for i, one in enumerate(peers) for _, y in one]
        wanted = sorted((y, scaled(x)) for (x, _), y in zip((pair for one in peers for pair in one), ids, strict=True))
        assert pairs(loaded) == wanted
        assert set(loaded.labels) == set(range(dataset.class_count))
        assert len({image for _, image in wanted}) == len(wanted)


def by_image(images):
    return {x.tobytes(): int(y) for x, y in zip(images.pixels, images.labels, strict=True)}


def test_scenes_are_split_by_their_partition_and_labelled_as_torchvision_does(tmp_path):
    sun(tmp_path, Painter())
    every = {scaled(image): label for image, label in peer.SUN397(tmp_path)}
    parts = {
        (split, part): by_image(SUN397(split=split, side=SIDE, part=part).load(tmp_path)) for split in (1, 2) for part in ("whole", "test")
    }
    for one in parts.values():
        assert len(one) == 397
        assert one.items() <= every.items()
    assert parts[1, "whole"] | parts[1, "test"] == every
    assert parts[1, "whole"] == parts[2, "test"]


def test_another_split_of_the_textures_is_another_data_set(tmp_path):
    dtd(tmp_path, Painter())
    first, second = (by_image(DTD(split=i, side=SIDE).load(tmp_path)) for i in (1, 2))
    test = by_image(DTD(split=1, side=SIDE, part="test").load(tmp_path))
    assert len(first.keys() & second.keys()) == 47
    assert test.items() <= second.items()
    assert first | test == second | first


@pytest.mark.parametrize("side", [8, 9])
def test_thirty_images_an_object_are_trained_on_whatever_their_size(tmp_path, side):
    caltech(tmp_path, Painter())
    objects = (0, 1)
    train, test = (Caltech101(side=side, classes=objects, part=part).load(tmp_path) for part in ("whole", "test"))
    assert (np.bincount(train.labels).tolist(), np.bincount(test.labels).tolist()) == ([30, 30], [3, 3])
    every = {scaled(image, side): label for image, label in peer.Caltech101(tmp_path) if label in objects}
    assert by_image(train) | by_image(test) == every
    files = sorted(
        (tmp_path / "caltech101" / "101_ObjectCategories" / "Faces").iterdir(), key=lambda file: sha256(file.read_bytes()).digest()
    )
    assert {image for image, label in by_image(test).items() if label == 0} == {scaled(Image.open(file), side) for file in files[30:]}


def test_the_clutter_of_caltech_is_a_class_only_where_it_is_asked_for(tmp_path):
    caltech(tmp_path, Painter())
    without, beside = Caltech101(side=SIDE), Caltech101(side=SIDE, background=True)
    assert (without.num_classes, beside.num_classes) == (101, 102)
    assert without.load(tmp_path).labels.tolist() == [0] * 30 + [1] * 30 + [*range(2, 101)]
    assert beside.load(tmp_path).labels.tolist() == [0] * 30 + [1] * 30 + [*range(2, 101)] + [101] * 30
    clutter = [image for image, label in by_image(beside.load(tmp_path)).items() if label == 101]
    folder = tmp_path / "caltech101" / "101_ObjectCategories" / "BACKGROUND_Google"
    assert set(clutter) < {scaled(Image.open(file)) for file in folder.iterdir()}


@pytest.mark.parametrize(
    "dataset", [OxfordPets(side=SIDE, classes=(0, 1)), SUN397(side=SIDE, classes=(0, 1)), ImageNet20(side=SIDE, classes=(0, 1))]
)
def test_class_folders_stand_in_for_the_official_layout(dataset, tmp_path):
    paint, folder = Painter(), {"OxfordPets": "oxford-pets", "SUN397": "sun397", "ImageNet20": "imagenet20"}[type(dataset).__name__]
    for c in "ab":
        paint(tmp_path / folder / "train" / c / "1.jpg")
    assert pairs(dataset.load(tmp_path)) == [(i, scaled(Image.open(tmp_path / folder / "train" / c / "1.jpg"))) for i, c in enumerate("ab")]


def shorten(file):
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")


def tear(file):
    file.write_bytes(file.read_bytes()[:100])


def without_labels(file):
    savemat(file, {"annotations": np.array([(5, "1.jpg")], dtype=[("bbox_x1", object), ("fname", object)])})


SPOILED = {
    "a missing list": (
        dtd,
        DTD(),
        "dtd/dtd/labels/val1.txt",
        lambda f: f.unlink(),
        r"labels/val1\.txt: must be the data set's list and cannot be read",
    ),
    "an empty list": (dtd, DTD(), "dtd/dtd/labels/val1.txt", lambda f: f.write_text("\n"), r"val1\.txt: is an empty list"),
    "classes that lack": (dtd, DTD(), "dtd/dtd/labels/val1.txt", shorten, r"val1\.txt: names 46 classes, must name 47"),
    "an absent image": (
        dtd,
        DTD(),
        "dtd/dtd/images/class_003/class_003_val.jpg",
        lambda f: f.unlink(),
        r"class_003_val\.jpg: is named .*not there \(1 of 94",
    ),
    "a torn image": (dtd, DTD(), "dtd/dtd/images/class_003/class_003_val.jpg", tear, r"class_003_val\.jpg: is not a whole image"),
    "a variant too few": (
        aircraft,
        FGVCAircraft(),
        "fgvc-aircraft-2013b/data/variants.txt",
        shorten,
        r"variants\.txt: names 99 classes, must name 100",
    ),
    "an unknown variant": (
        *(aircraft, FGVCAircraft(), "fgvc-aircraft-2013b/data/variants.txt"),
        lambda f: f.write_text(f.read_text().replace("A310", "A311")),
        r"images_variant_trainval\.txt: names the class 'A310', which is not among the data set's 100",
    ),
    "a line too short": (
        aircraft,
        FGVCAircraft(),
        "fgvc-aircraft-2013b/data/images_variant_trainval.txt",
        lambda f: f.write_text("x\n"),
        r"trainval\.txt, line 1: must have 2 columns, has 1",
    ),
    "no number": (
        pets,
        OxfordPets(),
        "oxford-iiit-pet/annotations/trainval.txt",
        lambda f: f.write_text("a b 1 1\n"),
        r"trainval\.txt: holds 'b' where an integer",
    ),
    "a breed too many": (
        *(pets, OxfordPets(), "oxford-iiit-pet/annotations/trainval.txt"),
        lambda f: f.write_text(f.read_text().replace(" 37 ", " 38 ")),
        r"label 37 of train image 72 is outside the classes 0 to 36 of oxford-pets-224",
    ),
    "a breed too few": (
        pets,
        OxfordPets(),
        "oxford-iiit-pet/annotations/trainval.txt",
        lambda f: (shorten(f), shorten(f)),
        r"OxfordPets\.classes = None: class 36 must be in",
    ),
    "a torn matrix": (flowers, Flowers102(), "flowers-102/setid.mat", tear, r"setid\.mat: is not a whole MATLAB file"),
    "a missing matrix": (
        flowers,
        Flowers102(),
        "flowers-102/imagelabels.mat",
        lambda f: f.unlink(),
        r"imagelabels\.mat: is not a whole MATLAB file .*No such file",
    ),
    "another matrix": (
        flowers,
        Flowers102(),
        "flowers-102/imagelabels.mat",
        lambda f: savemat(f, {"x": np.ones(3)}),
        r"imagelabels\.mat: has no variable labels",
    ),
    "too few labels": (
        flowers,
        Flowers102(),
        "flowers-102/imagelabels.mat",
        lambda f: savemat(f, {"labels": np.ones(3)}),
        r"setid\.mat: numbers an image that is not among the 3",
    ),
    "cars without labels": (
        cars,
        StanfordCars(),
        "stanford_cars/devkit/cars_train_annos.mat",
        without_labels,
        r"cars_train_annos\.mat: its annotations must have the fields fname and class",
    ),
    "no json": (food, Food101(), "food-101/meta/train.json", tear, r"train\.json: must be the data set's list and cannot be read"),
    "a strange json": (
        food,
        Food101(),
        "food-101/meta/train.json",
        lambda f: f.write_text("[]"),
        r"train\.json: must give the images of each class",
    ),
    "a partition that lacks": (
        sun,
        SUN397(split=3),
        "SUN397/ClassName.txt",
        lambda f: None,
        r"Training_03\.txt: .*Unpack the data set's Partitions\.zip",
    ),
    "an object that lacks": (
        caltech,
        Caltech101(),
        "caltech101/101_ObjectCategories/Faces",
        lambda f: f.rename(f.parents[1] / "Faces"),
        r"101_ObjectCategories: names 100 classes, must name 101",
    ),
    "a synset that lacks": (
        synsets,
        ImageNet20(),
        "imagewoof2/train/n005",
        lambda f: f.rename(f.parents[2] / "n005"),
        r"imagenette2/train and .*imagewoof2/train: names 19 classes, must name 20",
    ),
}


@pytest.mark.parametrize(("build", "dataset", "place", "spoil", "message"), SPOILED.values(), ids=SPOILED)
def test_what_is_wrong_with_the_files_is_told_with_its_place(tmp_path, build, dataset, place, spoil, message):
    build(tmp_path, Painter())
    spoil(tmp_path / place)
    with pytest.raises(UserError, match=message):
        dataset.load(tmp_path)


@pytest.mark.parametrize("dataset", [*LAYOUTS, SUN397(), Caltech101()], ids=lambda dataset: dataset.name)
def test_where_there_is_nothing_every_place_is_named(tmp_path, dataset):
    with pytest.raises(UserError, match=r"the train images must be .* in none: .*<class>/\*, .*train-\*\.parquet"):
        dataset.load(tmp_path)
    with pytest.raises(UserError, match=r"data is not set: must be the folder that holds [\w/ -]+/\. Set CONTRAST_DATA"):
        dataset.load(None)


def test_images_of_256_pixels_are_tested_as_they_are_and_trained_on_in_views_of_core_tuning(tmp_path):
    paint = Painter()
    for part in ("train", "val"):
        paint(tmp_path / "imagenet20" / part / "n1" / "1.JPEG", (300, 280))
    dataset = ImageNet20(side=256, classes=(0,), part="test")
    pixels = torch.from_numpy(np.array(dataset.load(tmp_path).pixels))
    with Image.open(tmp_path / "imagenet20" / "val" / "n1" / "1.JPEG") as image:
        assert pixels[0].numpy().tobytes() == scaled(image, 256)
    images = dataset.load(tmp_path)
    assert core256()(pixels.float() / 255, images.ids, 0, 1).shape == (1, 1, *dataset.shape)
