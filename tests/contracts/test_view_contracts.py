"""The exam of every exported kind of views and every operation: an export without an example here fails it.

Views depend on (seed, epoch, id, view) alone, whatever the batch, and a view does not depend on how many there are; they
stay in [0, 1] and leave the images as they are.
"""

import inspect
import itertools
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
import torch

from contrast import augmentations
from contrast.augmentations import (
    Augment,
    AutoAugment,
    BitsBeside,
    ColorJitter,
    CropFlip,
    CropViews,
    CutMix,
    Cutout,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    MixUp,
    Plain,
    RandAugment,
    RandomCrop,
    RandomResizedCrop,
    RandomRotation,
    Resize,
    SimCLRViews,
    SparseWarp,
    Transform,
    Views,
    recipes,
)
from contrast.component import Component, UserError

OPERATIONS: list[Transform] = [
    *(AutoAugment(), ColorJitter(), Cutout(6), GaussianBlur(), Grayscale(), HorizontalFlip(), RandAugment(), RandAugment(3, 1.0)),
    *(RandomCrop(20, 2), RandomResizedCrop(), RandomResizedCrop(bicubic=True), RandomRotation(), Resize(28), SparseWarp()),
]
RECIPES: list[Augment] = [
    *(recipes.simclr_cifar_tf(), recipes.simclr_imagenet(), recipes.moco_v1(), recipes.moco_v2(), recipes.moco_cifar()),
    *(recipes.autoaugment(), recipes.randaugment(), recipes.simaugment(warp=0.5), recipes.stacked_randaugment(3, warp=0.5)),
    *(recipes.crop4_flip(24), recipes.crop4_flip(24, cutout=8), Augment((Resize(26), RandomRotation(), RandomCrop(24, 0)), 1)),
]
OTHERS: list[Views] = [SimCLRViews(), SimCLRViews(3), CropFlip(), CropViews(), BitsBeside(CropViews(), 0), Plain()]
VIEWS: list[Views] = [*OTHERS, *RECIPES, *(Augment((operation,), 2) for operation in OPERATIONS)]
EVERY: list[Component] = [*VIEWS, *OPERATIONS, MixUp(), CutMix()]


def images(n=12, channels=3, side=24, seed=0):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(seed))


def test_every_exported_kind_of_views_and_operation_sits_the_exam():
    classes = (c for c in vars(augmentations).values() if inspect.isclass(c) and issubclass(c, Component) and not inspect.isabstract(c))
    assert set(classes) - {Views} == {type(component) for component in EVERY}


@pytest.mark.parametrize("component", EVERY, ids=repr)
def test_it_is_a_frozen_value(component):
    assert component == replace(component)
    assert hash(component) == hash(replace(component))
    for field in fields(component):
        with pytest.raises(FrozenInstanceError):
            setattr(component, field.name, 1)


@pytest.mark.parametrize("views", VIEWS, ids=repr)
def test_views_do_not_depend_on_the_batch(views):
    """To the last bit, under any split and order."""
    x, ids = images(), np.arange(12) * 1_000_003
    whole = views(x, ids, seed=1, epoch=2)
    order = np.random.default_rng(0).permutation(12)
    for start, stop in itertools.pairwise((0, 1, 4, 4, 12)):
        rows = order[start:stop]
        if len(rows):
            assert torch.equal(views(x[rows], ids[rows], seed=1, epoch=2), whole[rows])


@pytest.mark.parametrize("views", VIEWS, ids=repr)
def test_views_stay_in_range_and_leave_the_images_alone(views):
    x, ids = images(20), np.arange(20)
    before = x.clone()
    first = views(x, ids, seed=0, epoch=1)
    assert torch.equal(first, views(x, ids, seed=0, epoch=1))
    assert torch.equal(x, before)
    assert first.shape[:3] == (20, views.count, 3)
    assert first.dtype == torch.float32
    assert first.min() >= -1e-6
    assert first.max() <= 1 + 1e-6
    assert not first.requires_grad


@pytest.mark.parametrize("views", [v for v in VIEWS if isinstance(v, Augment | SimCLRViews | CropViews)], ids=repr)
def test_the_first_views_are_the_same_however_many_there_are(views):
    x, ids = images(), np.arange(12)
    more = replace(views, views=5)(x, ids, seed=0, epoch=1)
    assert torch.equal(more[:, : views.count], views(x, ids, seed=0, epoch=1))


@pytest.mark.parametrize("views", [*RECIPES, *OTHERS[:-1]], ids=repr)
def test_views_differ_by_view_epoch_seed_and_id(views):
    x, ids = images(1).expand(40, -1, -1, -1), np.arange(40)
    first = views(x, ids, seed=0, epoch=1)
    others = [views(x, ids, seed=0, epoch=2), views(x, ids, seed=1, epoch=1), views(x, ids + 64, seed=0, epoch=1)]
    for other in [*others, first.flip(1)] if views.count > 1 and views.count % 2 == 0 else others:
        same = (first - other).abs().amax(dim=(1, 2, 3, 4)) < 1e-4
        assert same.float().mean() < 0.2  # few parameters agree by chance


@pytest.mark.parametrize("views", [*RECIPES, *OTHERS], ids=repr)
def test_grey_images_are_taken_too(views):
    x = images(channels=1)
    out = views(x, np.arange(12), seed=0, epoch=1)
    assert out.shape[2] == 1
    assert out.isfinite().all()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Augment(()), "Augment.operations = ()"),
        (lambda: Augment((Grayscale(), Grayscale(0.3))), "must hold each kind once"),
        (lambda: Augment((Grayscale(),), 0), "Augment.views = 0"),
        (lambda: ColorJitter((1.2, 0.4, 0.4, 0.1)), "ColorJitter.strength"),
        (lambda: ColorJitter((0.4, 0.4, 0.4, 0.6)), "ColorJitter.strength"),
        (lambda: ColorJitter(p=1.5), "ColorJitter.p = 1.5"),
        (lambda: Cutout(0), "Cutout.side = 0"),
        (lambda: Cutout(4, 2.0), "Cutout.fill = 2.0"),
        (lambda: GaussianBlur(-0.1), "GaussianBlur.p = -0.1"),
        (lambda: GaussianBlur(0.5, (0.0, 2.0)), "GaussianBlur.sigma"),
        (lambda: Grayscale(2.0), "Grayscale.p = 2.0"),
        (lambda: HorizontalFlip(2.0), "HorizontalFlip.p = 2.0"),
        (lambda: RandAugment(0), "RandAugment.layers = 0"),
        (lambda: RandAugment(2, 31.0), "RandAugment.magnitude = 31.0"),
        (lambda: RandomCrop(0), "RandomCrop.side = 0"),
        (lambda: RandomCrop(4, -1), "RandomCrop.padding = -1"),
        (lambda: RandomResizedCrop((0.0, 1.0)), "RandomResizedCrop.scale"),
        (lambda: RandomRotation(200.0), "RandomRotation.degrees = 200.0"),
        (lambda: Resize(0), "Resize.side = 0"),
        (lambda: SparseWarp(2.0), "SparseWarp.p = 2.0"),
        (lambda: SparseWarp(0.5, -1.0), "SparseWarp.largest = -1.0"),
    ],
)
def test_values_out_of_range_are_refused_by_field(make, field):
    with pytest.raises(UserError) as error:
        make()
    assert field in str(error.value)
