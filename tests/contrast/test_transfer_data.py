"""The data sets of transfer are read from small files in their official layouts, as torchvision's own classes read the same folder.

Every image differs from every other, so that one read at the wrong place is another.
"""

import shutil
from dataclasses import replace
from functools import cache
from hashlib import sha256

import numpy as np
import pytest
import torch
import torchvision.datasets as peer
import torchvision.transforms.functional as scaling
from PIL import Image
from scipy.io import savemat

from analysis import customary
from contrast import Finetune, SmallResNet, Untrained, core256
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
from tests.bench import Bench
from tests.layouts import Painter, aircraft, birds, caltech, cars, dtd, flowers, food, pets, sun, synsets

pytestmark = pytest.mark.usefixtures("cache")
SIDE = 8


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


@pytest.fixture(scope="module")
def root_of(tmp_path_factory):
    """The root of what a function of `tests.layouts` builds, built once."""
    return cache(lambda build: build(root := tmp_path_factory.mktemp("layout"), Painter()) or root)


def assert_transfers(dataset, root, folder):
    """A fine-tuning on two classes of the data set runs, and its customary measure is the one counted by hand."""
    bench, dataset = Bench(folder / "bench", root), replace(dataset, classes=(0, 1))
    bench.folder.mkdir()
    encoder = Untrained(data=dataset, encoder=SmallResNet(1), seed=0)
    tuned = Finetune(encoder, data=dataset, seed=0, epochs=1)
    for stage in (encoder, tuned):
        bench.run(stage)
    score, *_ = bench.run(customary(dataset)(tuned, on=replace(dataset, part="test"))).results.values()
    images, net = replace(dataset, part="test").load(root), bench.net(tuned)
    right = np.array([int(net(torch.from_numpy(x[None] / 255).float()).argmax()) for x in images.pixels]) == images.labels
    shares = [right.mean()] if dataset.metric == "top-1" else [right[images.labels == c].mean() for c in (0, 1)]
    assert score == pytest.approx(100 * np.mean(shares), abs=1e-4)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dataset", LAYOUTS, ids=lambda dataset: dataset.name)
def test_the_official_layout_gives_the_images_and_labels_of_torchvisions_class(dataset, root_of, tmp_path):
    build, torchvisions = LAYOUTS[dataset]
    root = root_of(build)
    for part in ("whole", "test"):
        loaded = replace(dataset, part=part).load(root)
        peers = torchvisions(root, part)
        ids = [2 * y + i if isinstance(dataset, ImageNet20) else y for i, one in enumerate(peers) for _, y in one]
        wanted = sorted((y, scaled(x)) for (x, _), y in zip((pair for one in peers for pair in one), ids, strict=True))
        assert pairs(loaded) == wanted
        assert set(loaded.labels) == set(range(dataset.class_count))
        assert len({image for _, image in wanted}) == len(wanted)
    assert_transfers(dataset, root, tmp_path)


def by_image(images):
    return {x.tobytes(): int(y) for x, y in zip(images.pixels, images.labels, strict=True)}


def test_scenes_are_split_by_their_partition_and_labelled_as_torchvision_does(tmp_path, root_of):
    root = root_of(sun)
    every = {scaled(image): label for image, label in peer.SUN397(root)}
    parts = {
        (split, part): by_image(SUN397(split=split, side=SIDE, part=part).load(root)) for split in (1, 2) for part in ("whole", "test")
    }
    for one in parts.values():
        assert len(one) == 397
        assert one.items() <= every.items()
    assert parts[1, "whole"] | parts[1, "test"] == every
    assert parts[1, "whole"] == parts[2, "test"]
    assert_transfers(SUN397(side=SIDE), root, tmp_path)


def test_another_split_of_the_textures_is_another_data_set(root_of):
    root = root_of(dtd)
    first, second = (by_image(DTD(split=i, side=SIDE).load(root)) for i in (1, 2))
    test = by_image(DTD(split=1, side=SIDE, part="test").load(root))
    assert len(first.keys() & second.keys()) == 47
    assert test.items() <= second.items()
    assert first | test == second | first


@pytest.mark.parametrize("side", [8, 9])
def test_thirty_images_an_object_are_trained_on_whatever_their_size(tmp_path, root_of, side):
    root = root_of(caltech)
    objects = (0, 1)
    train, test = (Caltech101(side=side, classes=objects, part=part).load(root) for part in ("whole", "test"))
    assert (np.bincount(train.labels).tolist(), np.bincount(test.labels).tolist()) == ([30, 30], [3, 3])
    every = {scaled(image, side): label for image, label in peer.Caltech101(root) if label in objects}
    assert by_image(train) | by_image(test) == every
    files = sorted((root / "caltech101" / "101_ObjectCategories" / "Faces").iterdir(), key=lambda file: sha256(file.read_bytes()).digest())
    assert {image for image, label in by_image(test).items() if label == 0} == {scaled(Image.open(file), side) for file in files[30:]}
    assert_transfers(Caltech101(side=side), root, tmp_path)


def test_the_clutter_of_caltech_is_a_class_only_where_it_is_asked_for(root_of):
    root = root_of(caltech)
    without, beside = Caltech101(side=SIDE), Caltech101(side=SIDE, background=True)
    assert (without.num_classes, beside.num_classes) == (101, 102)
    assert without.load(root).labels.tolist() == [0] * 30 + [1] * 30 + [*range(2, 101)]
    assert beside.load(root).labels.tolist() == [0] * 30 + [1] * 30 + [*range(2, 101)] + [101] * 30
    clutter = [image for image, label in by_image(beside.load(root)).items() if label == 101]
    folder = root / "caltech101" / "101_ObjectCategories" / "BACKGROUND_Google"
    assert set(clutter) < {scaled(Image.open(file)) for file in folder.iterdir()}


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
        None,
        r"labels/val1\.txt: must be the data set's list and cannot be read",
    ),
    "an empty list": (dtd, DTD(), "dtd/dtd/labels/val1.txt", lambda f: f.write_text("\n"), r"val1\.txt: is an empty list"),
    "classes that lack": (dtd, DTD(), "dtd/dtd/labels/val1.txt", shorten, r"val1\.txt: names 46 classes, must name 47"),
    "an absent image": (
        dtd,
        DTD(),
        "dtd/dtd/images/class_003/class_003_val.jpg",
        None,
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
        None,
        r"imagelabels\.mat: is missing\. Get that file again",
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
    "labels of text": (
        *(flowers, Flowers102(), "flowers-102/imagelabels.mat"),
        lambda f: savemat(f, {"labels": np.array(["rose"] * 306, dtype=object)}),
        r"imagelabels\.mat: labels must hold integers, and holds 'rose'",
    ),
    "labels of two dimensions": (
        *(flowers, Flowers102(), "flowers-102/imagelabels.mat"),
        lambda f: savemat(f, {"labels": np.ones((306, 2))}),
        r"imagelabels\.mat: labels must be one row, and has the shape \(306, 2\)",
    ),
    "a class of text": (
        *(cars, StanfordCars(), "stanford_cars/devkit/cars_train_annos.mat"),
        lambda f: savemat(f, {"annotations": np.array([("Audi", "1.jpg")] * 2, dtype=[("class", object), ("fname", object)])}),
        r"cars_train_annos\.mat: class must hold integers, and holds 'Audi'",
    ),
    "no test labels": (
        *(cars, StanfordCars(part="test"), "stanford_cars/cars_test_annos_withlabels.mat", None),
        r"withlabels\.mat: is missing\. It is published beside car_devkit\.tgz",
    ),
    "the list of the other split": (
        *(pets, OxfordPets(part="test"), "oxford-iiit-pet/annotations/test.txt"),
        lambda f: shutil.copy(f.with_name("trainval.txt"), f),
        r"_1\.jpg: is in the lists of both training and test \(74 of 74 are\)",
    ),
    "every line ten times": (
        *(pets, OxfordPets(part="fit"), "oxford-iiit-pet/annotations/trainval.txt"),
        lambda f: f.write_text(10 * f.read_text()),
        r"_1\.jpg: is named more than once in the data set's lists \(74 of 74 are\)",
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
        SUN397(split=2),
        "SUN397/Training_02.txt",
        None,
        r"Training_02\.txt: .*Unpack the data set's Partitions\.zip",
    ),
    "an object that lacks": (
        caltech,
        Caltech101(),
        "caltech101/101_ObjectCategories/Faces",
        None,
        r"101_ObjectCategories: names 100 classes, must name 101",
    ),
    "a synset that lacks": (
        synsets,
        ImageNet20(),
        "imagewoof2/train/n005",
        None,
        r"imagenette2/train and .*imagewoof2/train: names 19 classes, must name 20",
    ),
}


@pytest.mark.parametrize(("build", "dataset", "place", "spoil", "message"), SPOILED.values(), ids=SPOILED)
def test_what_is_wrong_with_the_files_is_told_with_its_place(tmp_path, root_of, build, dataset, place, spoil, message):
    """`spoil` changes a file; None takes it, or the folder, away."""
    root = root_of(build)
    kept = (root / place).rename(tmp_path / "kept")
    try:
        if spoil is not None:
            shutil.copy(kept, root / place)
            spoil(root / place)
        with pytest.raises(UserError, match=message):
            dataset.load(root)
    finally:
        kept.replace(root / place)


@pytest.mark.parametrize("dataset", [*LAYOUTS, SUN397(), Caltech101()], ids=lambda dataset: dataset.name)
def test_where_there_is_nothing_every_place_is_named(tmp_path, dataset):
    with pytest.raises(UserError, match=r"the train images must be .* in none: .*<class>/\*, .*train-\*\.parquet"):
        dataset.load(tmp_path)
    with pytest.raises(UserError, match=r"data is not set: must be the folder that holds [\w/ -]+/\. Set CONTRAST_DATA"):
        dataset.load(None)


def test_images_of_256_pixels_are_tested_as_they_are_and_trained_on_in_views_of_core_tuning(tmp_path):
    paint = Painter()
    for i in range(20):
        paint(tmp_path / "imagenet20" / "val" / f"n{i}" / "1.JPEG", (300, 280) if i == 1 else (8, 8))
    dataset = ImageNet20(side=256, classes=(1,), part="test")
    pixels = torch.from_numpy(np.array(dataset.load(tmp_path).pixels))
    with Image.open(tmp_path / "imagenet20" / "val" / "n1" / "1.JPEG") as image:
        assert pixels[0].numpy().tobytes() == scaled(image, 256)
    images = dataset.load(tmp_path)
    assert core256()(pixels.float() / 255, images.ids, 0, 1).shape == (1, 1, *dataset.shape)
