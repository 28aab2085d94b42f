"""In its official layout, in class folders or in Parquet, and at every size, an image has one id, one class and one split."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.io import loadmat

from contrast import RandomBits
from contrast.component import UserError
from contrast.data import (
    DTD,
    SUN397,
    Birdsnap,
    Caltech101,
    DomainFolder,
    FGVCAircraft,
    Flowers102,
    Food101,
    ImageFolder,
    ImageNet,
    ImageNet20,
    MaskFolder,
    OxfordPets,
    StanfordCars,
)
from tests.contrast.scenes import write_folder
from tests.layouts import Painter, caltech, cars, dtd, flowers, food, pets

pytestmark = pytest.mark.usefixtures("cache")
SIDE = 8


def lines(file):
    return [line.split() for line in file.read_text().splitlines()]


def of_dtd(root):
    home = root / "dtd" / "dtd"
    for part in ("train", "val", "test"):
        for (path,) in lines(home / "labels" / f"{part}1.txt"):
            yield part, path.split("/")[0], home / "images" / path


def of_pets(root):
    home = root / "oxford-iiit-pet"
    for part in ("trainval", "test"):
        for i, (name, *_) in enumerate(lines(home / "annotations" / f"{part}.txt")):
            yield "test" if part == "test" else ("train", "val")[i % 2], name.rpartition("_")[0], home / "images" / f"{name}.jpg"


def of_flowers(root):
    home = root / "flowers-102"
    labels, ids = loadmat(home / "imagelabels.mat")["labels"][0], loadmat(home / "setid.mat")
    for part, name in (("train", "trnid"), ("val", "valid"), ("test", "tstid")):
        for i in ids[name][0]:
            yield part, str(labels[i - 1]), home / "jpg" / f"image_{i:05d}.jpg"


def of_food(root):
    for part in ("train", "test"):
        for dish, paths in json.loads((root / "food-101" / "meta" / f"{part}.json").read_text()).items():
            yield part, dish, root / "food-101" / "images" / f"{paths[0]}.jpg"


def of_cars(root):
    home = root / "stanford_cars"
    for part, file in (("train", home / "devkit" / "cars_train_annos.mat"), ("test", home / "cars_test_annos_withlabels.mat")):
        for one in loadmat(file, squeeze_me=True)["annotations"]:
            yield part, str(one["class"]), home / f"cars_{part}" / str(one["fname"])


def of_caltech(root):
    for folder in (root / "caltech101" / "101_ObjectCategories").iterdir():
        for i, file in enumerate(sorted(folder.iterdir(), key=lambda file: hashlib.sha256(file.read_bytes()).digest())):
            yield "train" if i < 30 else "test", folder.name, file


LAYOUTS = [
    (DTD(side=SIDE), dtd, of_dtd, "dtd"),
    (OxfordPets(side=SIDE), pets, of_pets, "oxford-pets"),
    (Flowers102(side=SIDE), flowers, of_flowers, "flowers102"),
    (Food101(side=SIDE), food, of_food, "food101"),
    (StanfordCars(side=SIDE), cars, of_cars, "stanford-cars"),
    (Caltech101(side=SIDE, classes=(0, 1)), caltech, of_caltech, "caltech101"),
    (Caltech101(side=SIDE, background=True, classes=(0, 1, 101)), caltech, of_caltech, "caltech101"),
]


def as_folders(home, listed):
    for part, name, file in listed:
        folder = home / part / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file.name)
        (folder / f"._{file.name}").write_bytes(b"what macOS lays beside a file")


def assert_same_images(one, two):
    for mine, theirs in zip(one, two, strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(("dataset", "build", "listing", "home"), LAYOUTS, ids=[f"{one.name}" for one, *_ in LAYOUTS])
def test_class_folders_are_the_data_set_of_the_official_layout(tmp_path, root_of, dataset, build, listing, home):
    """With the official validation split in a folder of its own, and the names or numbers of the classes."""
    root = root_of(build)
    as_folders(tmp_path / home, listing(root))
    for part in ("whole", "fit", "test") if dataset.name.startswith("caltech") else ("whole", "test"):
        assert_same_images(replace(dataset, part=part).load(root), replace(dataset, part=part).load(tmp_path))


def test_parquet_is_the_data_set_of_the_official_layout(tmp_path, root_of):
    """With three splits, as the hub names them, which join as the lists do."""
    root, names = root_of(dtd), {"train": "train", "val": "validation", "test": "test"}
    listed = list(of_dtd(root))
    (tmp_path / "dtd").mkdir()
    classes = sorted({name for _, name, _ in listed})
    for part, name in names.items():
        mine = [(classes.index(texture), file) for split, texture, file in listed if split == part]
        table = pa.table({"image": [{"bytes": file.read_bytes(), "path": file.name} for _, file in mine], "label": [y for y, _ in mine]})
        pq.write_table(table, tmp_path / "dtd" / f"{name}-00000-of-00001.parquet")
    for part in ("whole", "test"):
        assert_same_images(DTD(side=SIDE, part=part).load(root), DTD(side=SIDE, part=part).load(tmp_path))


@pytest.mark.parametrize("dataset", [DTD(side=SIDE), FGVCAircraft(side=SIDE), Flowers102(side=SIDE), OxfordPets(side=SIDE)])
def test_what_is_trained_on_never_stands_in_for_the_test_split(tmp_path, dataset):
    home = tmp_path / type(dataset).__module__.rpartition(".")[2].replace("oxford_pets", "oxford-pets").replace(
        "fgvc_aircraft", "fgvc-aircraft"
    )
    paint = Painter()
    for c in range(dataset.class_count):
        for part in ("train", "val"):
            paint(home / part / f"{c + 1}" / f"{part}.jpg")
    assert len(dataset.load(tmp_path).labels) == 2 * dataset.class_count
    with pytest.raises(UserError, match=r"the test images must be .* in none: .*/test/<class>/\*, [^;]*test-\*\.parquet\. Put them there"):
        replace(dataset, part="test").load(tmp_path)


FEW = [SUN397(classes=(0, 1)), OxfordPets(classes=(0, 1)), ImageNet(classes=(0, 1)), ImageNet20(classes=(0, 1)), Birdsnap(classes=(0, 1))]


@pytest.mark.parametrize("dataset", [*FEW, ImageFolder(images="birds", count=3, classes=(0, 1))], ids=lambda one: one.name)
def test_a_class_folder_too_few_is_refused_whatever_is_selected(tmp_path, dataset):
    """The others would be other classes."""
    paint, home = (
        Painter(),
        {"ImageFolder": "birds", "OxfordPets": "oxford-pets"}.get(type(dataset).__name__, type(dataset).__name__.lower()),
    )
    for c in ("b", "c"):
        paint(tmp_path / home / "train" / c / "1.jpg")
    with pytest.raises(
        UserError, match=rf"{home}: names 2 classes, must name {dataset.class_count}\. (Get the files|Complete the folders)"
    ):
        dataset.load(tmp_path)


@pytest.mark.parametrize("dataset", [Flowers102(), StanfordCars()], ids=lambda one: one.name)
def test_names_that_give_no_official_order_are_refused(tmp_path, dataset):
    home = {"Flowers102": "flowers102", "StanfordCars": "stanford-cars"}[type(dataset).__name__]
    Painter()(tmp_path / home / "train" / "a name" / "1.jpg")
    with pytest.raises(
        UserError, match=rf"{home}: must have class folders named by the official numbers .* Name them 1 to {dataset.class_count}\."
    ):
        dataset.load(tmp_path)


@pytest.mark.parametrize("other", ["test", "val", "validation"])
def test_labels_that_a_folder_of_another_split_shifts_are_not_taken_from_the_cache(tmp_path, other):
    paint, birds = Painter(), ImageFolder(images="birds", count=2, side=SIDE)
    for c in ("b", "c"):
        paint(tmp_path / "birds" / "train" / c / "1.jpg")
    assert birds.load(tmp_path).labels.tolist() == [0, 1]
    paint(tmp_path / "birds" / other / "a" / "1.jpg")
    with pytest.raises(UserError, match=r"birds-8, split train: the images of class 1 must stay .* and have changed"):
        replace(birds, count=3, classes=(1, 2)).load(tmp_path)


@pytest.mark.parametrize("dataset", [DTD(split=2), SUN397(split=2)], ids=lambda one: one.name)
def test_another_official_split_needs_its_lists(tmp_path, dataset):
    Painter()(tmp_path / type(dataset).__name__.lower() / "train" / "1" / "1.jpg")
    with pytest.raises(
        UserError, match=r"\w+\.split = 2: needs the official lists in .*, since class folders and Parquet hold one split\. Use 1"
    ):
        dataset.load(tmp_path)


def photographs(folder, count):
    """JPEGs of noise, and each image's file by its bytes at every size."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(np.random.default_rng(len(str(folder))).integers(0, 256, (count, 40, 40, 3), dtype=np.uint8)):
        Image.fromarray(image).save(folder / f"{i}.jpg")


def ids_of(dataset, root, files, side):
    """The id of each file, found by its pixels at `side`."""
    images = dataset.load(root)
    by_pixels = {pixels.tobytes(): int(i) for pixels, i in zip(images.pixels, images.ids, strict=True)}
    scaled = {file: np.asarray(Image.open(file).resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1) for file in files}
    return {file: by_pixels[x.tobytes()] for file, x in scaled.items() if x.tobytes() in by_pixels}


@pytest.mark.parametrize("part", ["fit", "held_out"])
def test_an_image_has_one_id_and_is_held_out_or_not_at_every_size(tmp_path, part):
    for name in ("a", "b"):
        photographs(tmp_path / "birds" / "train" / name, 20)
        for domain in ("one", "two"):
            photographs(tmp_path / "animals" / domain / name, 20)
    birds = ImageFolder(images="birds", count=2, part=part)
    animals = DomainFolder(images="animals", domains=("one", "two"), target="two", count=2, part=part)
    for dataset, files in ((birds, sorted(tmp_path.glob("birds/*/*/*"))), (animals, sorted(tmp_path.glob("animals/one/*/*")))):
        small, large = (ids_of(replace(dataset, side=side), tmp_path, files, side) for side in (8, 16))
        assert small == large
        assert len(small) == (36 if part == "fit" else 4)


def test_what_is_made_of_scaled_images_keeps_their_ids(tmp_path):
    photographs(tmp_path / "birds" / "train" / "a", 20)
    birds = ImageFolder(images="birds", count=1, side=SIDE)
    for plain, made in ((birds, RandomBits(bits=2, of=birds)), (birds.held_out("search"), RandomBits(bits=2, of=birds).held_out("search"))):
        mine, theirs = made.load(tmp_path), plain.load(tmp_path)
        assert np.array_equal(mine.ids, theirs.ids)
        assert np.array_equal(mine.pixels[:, :3], theirs.pixels)


def test_a_scene_has_one_id_at_every_size(tmp_path):
    """Masks of 32 pixels are halved by leaving out rows and columns."""
    root = write_folder(tmp_path, train=12, size=(32, 32))
    large, small = (MaskFolder(images="streets", count=4, side=side).scenes(root) for side in (32, 16))
    assert np.array_equal(large.masks[:, 1::2, 1::2], small.masks)
    assert len({mask.tobytes() for mask in small.masks}) == 12
