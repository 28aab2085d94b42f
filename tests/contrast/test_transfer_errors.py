"""What is wrong with the files of a data set of transfer is told with its place, before any training."""

import shutil

import numpy as np
import pytest
from scipy.io import savemat

from contrast.component import UserError
from contrast.data import DTD, SUN397, Caltech101, FGVCAircraft, Flowers102, Food101, ImageNet20, OxfordPets, StanfordCars
from tests.layouts import aircraft, caltech, cars, dtd, flowers, food, pets, sun, synsets

pytestmark = pytest.mark.usefixtures("cache")


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
