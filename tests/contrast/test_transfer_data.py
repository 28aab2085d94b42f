"""The data sets of transfer are read from small files in their official layouts, as torchvision's own classes read the same folder.

Every image differs from every other, so that one read at the wrong place is another.
"""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch
import torchvision.datasets as peer
import torchvision.transforms.functional as scaling
from PIL import Image

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
