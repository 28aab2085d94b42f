"""A data set is its content: row order, layout, seed and the selection of others change nothing.

The default tests read `Digits`, which is part of the installation; tests marked `data` keep the same laws on the real images
that CONTRAST_DATA names.
"""

import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from contrast.component import UserError
from contrast.data import CIFAR10, CIFAR100, MNIST, Digits

SETTINGS = settings(max_examples=30, deadline=None)


@pytest.fixture(autouse=True, scope="module")
def shared_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_digits_are_scikit_learns_each_image_in_one_split():
    pixels, labels = load_digits(return_X_y=True)
    wanted = sorted((int(y), np.rint(x * 255 / 16).astype(np.uint8).tobytes()) for x, y in zip(pixels, labels, strict=True))
    parts = [Digits().whole.load(None), Digits().held_out("confirm").load(None)]
    got = sorted((int(y), x.tobytes()) for part in parts for x, y in zip(part.pixels, part.labels, strict=True))
    assert got == wanted
    for train, test, count in zip(*(np.bincount(part.labels) for part in parts), np.bincount(labels), strict=True):
        assert (train, test) == (count - count // 5, count // 5)


def test_digits_state_the_mean_and_deviation_of_their_training_pixels():
    pixels = Digits().whole.load(None).pixels / 255
    assert pixels.mean() == pytest.approx(Digits.mean[0], abs=5e-5)
    assert pixels.std() == pytest.approx(Digits.std[0], abs=5e-5)


def test_images_have_the_stated_types_and_order():
    images = Digits().load(None)
    assert (images.pixels.dtype, images.labels.dtype, images.ids.dtype) == (np.uint8, np.int64, np.int64)
    assert images.pixels.shape[1:] == Digits.shape
    assert (np.diff(images.ids) > 0).all()
    for label in range(10):
        contents = [sha256(image.tobytes()).digest() for image in images.pixels[images.labels == label]]
        assert contents == sorted(contents)


def test_images_cannot_be_written_to():
    for dataset in (Digits(), Digits(classes=(1, 0))):
        for array in dataset.load(None)[:3]:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


@given(
    st.permutations(range(10)), st.integers(1, 10), st.none() | st.integers(10, 200), st.sampled_from(["whole", "fit", "held_out", "test"])
)
@SETTINGS
def test_an_id_names_the_same_image_in_every_selection(order, count, per_class, part):
    dataset = Digits(classes=tuple(order[:count]), per_class=per_class, part=part)
    got, whole = dataset.load(None), Digits(part="test" if part == "test" else "whole").load(None)
    place = np.searchsorted(whole.ids, got.ids)
    np.testing.assert_array_equal(whole.ids[place], got.ids)
    np.testing.assert_array_equal(whole.pixels[place], got.pixels)
    np.testing.assert_array_equal(whole.labels[place], np.array(dataset.classes)[got.labels])  # re-indexed in the listed order
    assert len(np.unique(got.labels)) == dataset.num_classes


def test_no_test_image_has_the_id_of_a_training_image():
    assert not np.intersect1d(Digits().whole.load(None).ids, Digits().held_out("confirm").load(None).ids).size


@given(st.none() | st.integers(10, 200))
@SETTINGS
def test_the_search_cut_is_a_stratified_tenth_and_a_partition(per_class):
    dataset = Digits(per_class=per_class)
    whole, fit, held = (part.load(None) for part in (dataset.whole, dataset.fit("search"), dataset.held_out("search")))
    np.testing.assert_array_equal(np.sort(np.concatenate([fit.ids, held.ids])), whole.ids)
    np.testing.assert_array_equal(np.bincount(held.labels), np.bincount(whole.labels) // 10)


@given(st.integers(10, 200), st.integers(10, 200), st.sampled_from(["whole", "fit", "held_out", "test"]))
@SETTINGS
def test_fewer_images_a_class_are_contained_in_more(a, b, part):
    small, large = (set(Digits(per_class=n, part=part).load(None).ids.tolist()) for n in sorted((a, b)))
    assert small <= large


def test_to_confirm_all_of_train_is_fitted_and_the_test_split_scored():
    assert Digits().fit("confirm") == Digits().whole
    assert Digits().held_out("confirm").part == "test"


# ---- the real images


@pytest.fixture
def real():
    if not os.environ.get("CONTRAST_DATA"):
        pytest.skip("CONTRAST_DATA does not name a folder with the real images")
    return Path(os.environ["CONTRAST_DATA"])


FOUND = (*range(5), 6, 11, 16, 21, 26, 56, 58, 62, 66, 68, *range(95, 100))
REAL = [(CIFAR10(), 50_000, 10_000), (CIFAR100(classes=FOUND), 10_000, 2_000), (MNIST(), 60_000, 10_000)]


@pytest.mark.data
@pytest.mark.parametrize(("dataset", "train", "test"), REAL, ids=lambda x: getattr(x, "name", None))
def test_the_real_images_have_the_pinned_content_and_the_known_size(real, dataset, train, test):
    assert [len(part.load(real).ids) for part in (dataset.whole, dataset.held_out("confirm"))] == [train, test]
    assert isinstance(dataset.whole.load(real).pixels, np.memmap) or dataset.classes


@pytest.mark.data
def test_the_stated_constants_are_those_of_the_real_images(real):
    for dataset, std in ((CIFAR10(), (0.2470, 0.2435, 0.2616)), (MNIST(), MNIST.std)):
        # PROTOCOL 1.1: contrastive pretraining normalises CIFAR-10 by another deviation than the pixels have.
        pixels = dataset.load(real).pixels
        squares = (pixels.astype(np.uint16) ** 2).mean(axis=(0, 2, 3)) / 255**2
        mean = pixels.mean(axis=(0, 2, 3)) / 255
        np.testing.assert_allclose(mean, dataset.mean, atol=1e-4)
        np.testing.assert_allclose(np.sqrt(squares - mean**2), std, atol=1e-4)


@pytest.mark.data
def test_the_real_tasks_are_disjoint_five_way_and_of_the_protocols_size(real):
    tasks = [CIFAR100(classes=FOUND[i : i + 5]) for i in range(0, 20, 5)]
    assert len({i for task in tasks for i in task.whole.load(real).ids.tolist()}) == 10_000
    for task in tasks:
        assert [len(task.fit(phase).load(real).ids) for phase in ("search", "confirm")] == [2250, 2500]
        assert [len(task.held_out(phase).load(real).ids) for phase in ("search", "confirm")] == [250, 500]
        assert np.bincount(task.held_out("search").load(real).labels).tolist() == [50] * 5


@pytest.mark.data
def test_a_class_that_the_real_files_lack_is_named(real):
    with pytest.raises(UserError, match=r"CIFAR100\.classes = \(5,\): class 5 must be in the train files of cifar100.*0-4, 6, 11"):
        CIFAR100(classes=(5,)).load(real)
