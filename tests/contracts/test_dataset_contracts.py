"""The exam of every exported data set: an export without an example here fails it; those that need no files are loaded.

A data set is a frozen value that states shape, normalisation and classes; what it loads has these, in id order.
"""

import inspect
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from contrast import data
from contrast.component import Component, UserError
from contrast.data import (
    CIFAR10,
    CIFAR100,
    DTD,
    MNIST,
    PACS,
    STL10,
    SUN397,
    SVHN,
    VLCS,
    VOC2007,
    Birdsnap,
    Caltech101,
    Dataset,
    Digits,
    DigitsOnImages,
    DomainFolder,
    FashionMNIST,
    FGVCAircraft,
    Flowers102,
    Food101,
    ImageFolder,
    ImageNet,
    ImageNet20,
    MaskFolder,
    MultiDigits,
    OxfordPets,
    RandomBits,
    Resized,
    SegmentedImages,
    StanfordCars,
    STL10Unlabeled,
    TwoSizes,
    VOC2012Segmentation,
)

FEW = Digits(per_class=20)
EMBEDDED: list[Dataset] = [
    *(Digits(), MultiDigits(digits=2, of=FEW, side=20), MultiDigits(digits=4, placement="grid", of=FEW, side=16, add=True)),
    *(TwoSizes(second=10, first=6, of=FEW, side=20), DigitsOnImages(pool=8, of=FEW, digits=FEW, side=16), RandomBits(bits=3, of=FEW)),
    *(Resized(of=FEW, side=12), Resized(of=DigitsOnImages(pool=8, of=FEW, digits=FEW, side=16), side=10)),
]
OTHERS: list[Dataset] = [
    *(CIFAR10(), CIFAR100(), MNIST(), FashionMNIST(), SVHN(), STL10(), STL10Unlabeled(), ImageNet(side=64)),
    *(ImageFolder(images="birds", count=20), MultiDigits(), TwoSizes(), DigitsOnImages(pool=64), RandomBits(bits=5, of=CIFAR10())),
    *(Resized(of=CIFAR10(), side=256), Resized(of=CIFAR10(), side=64), Resized(of=CIFAR100(), side=64)),
    *(Birdsnap(), Caltech101(), Caltech101(background=True), DTD(), DTD(split=2), FGVCAircraft(), Flowers102(), Food101()),
    *(ImageNet20(), OxfordPets(), StanfordCars(), SUN397(), SUN397(split=2), SUN397(side=64), VOC2007()),
    *(VOC2012Segmentation(), MaskFolder(images="birds", count=20)),
    *(PACS(target="photo"), PACS(target="sketch"), VLCS(target="SUN09")),
    *(DomainFolder(images="home", domains=names, target="Art", count=65) for names in (("Art", "Real"), ("Real", "Art"))),
]
EVERY = [*EMBEDDED, *OTHERS]


def test_every_exported_data_set_sits_the_exam():
    exported = {c for c in vars(data).values() if inspect.isclass(c) and issubclass(c, Component)} - {Dataset, SegmentedImages}
    assert exported == {type(dataset) for dataset in EVERY}


@pytest.mark.parametrize("dataset", EVERY, ids=repr)
def test_a_data_set_is_a_frozen_value_that_states_what_it_is(dataset):
    assert dataset == replace(dataset)
    assert hash(dataset) == hash(replace(dataset))
    assert len(dataset.shape) == 3
    assert len(dataset.mean) == len(dataset.std) == dataset.shape[0]
    assert min(dataset.std) > 0
    assert dataset.num_classes == dataset.class_count >= 1
    if not dataset.multi_label:
        assert replace(dataset, classes=(0,)).num_classes == 1
    assert replace(dataset, per_class=10, fraction=0.1, part="fit").name == dataset.name
    for field in fields(dataset):
        with pytest.raises(FrozenInstanceError):
            setattr(dataset, field.name, 1)
    with pytest.raises(UserError, match="has class ids"):
        replace(dataset, classes=(dataset.class_count,))


def test_data_sets_that_differ_have_different_names():
    names = [dataset.name for dataset in EVERY]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("dataset", EMBEDDED, ids=repr)
@pytest.mark.parametrize("part", ["whole", "fit", "held_out", "test"])
def test_what_is_loaded_is_as_stated_and_the_same_each_time(dataset, part):
    images = replace(dataset, part=part).load(None)
    assert images.pixels.dtype == np.uint8
    assert images.pixels.shape[1:] == dataset.shape
    assert set(images.labels) == set(range(dataset.num_classes))
    assert (np.diff(images.ids) > 0).all()
    assert replace(dataset, part=part).load(None) is images


@pytest.mark.parametrize("dataset", EMBEDDED, ids=repr)
def test_an_id_names_the_same_image_in_every_selection(dataset):
    whole, some = dataset.load(None), replace(dataset, classes=(7, 2), per_class=10, part="fit", fraction=0.5).load(None)
    place = np.searchsorted(whole.ids, some.ids)
    assert np.array_equal(whole.ids[place], some.ids)
    assert np.array_equal(whole.pixels[place], some.pixels)
    assert np.array_equal(np.array([7, 2])[some.labels], whole.labels[place])
