"""Batches of class pairs: two images of each class, none twice, anew each epoch, by lot that depends on ids alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrast.batches import ClassPairs
from contrast.component import UserError


@given(seed=st.integers(0, 2**20), classes=st.integers(1, 6), n=st.integers(1, 60), taken=st.integers(1, 6))
def test_a_batch_has_two_images_of_each_of_its_classes_and_no_image_comes_twice(seed, classes, n, taken):
    rng = np.random.default_rng(seed)
    labels, ids = rng.integers(0, classes, n), rng.permutation(1000)[:n]
    pairs = np.bincount(labels) // 2
    if (pairs > 0).sum() < taken:
        with pytest.raises(UserError, match=f"there are fewer than {taken} classes of two images"):
            ClassPairs()(labels, ids, 2 * taken, seed, 1)
        return
    batches = ClassPairs()(labels, ids, 2 * taken, seed, 1)
    for rows in batches:
        assert sorted(np.bincount(labels[rows])[np.unique(labels[rows])]) == [2] * taken
    seen = np.concatenate(batches)
    assert len(np.unique(seen)) == len(seen)
    assert len(batches) == max(b for b in range(n + 1) if np.minimum(pairs, b).sum() >= b * taken)  # the most that can be made


def test_classes_of_one_size_are_used_up_and_paired_anew_each_epoch():
    labels, ids = np.arange(60) % 6, np.arange(60)
    first, again, next_epoch = (ClassPairs()(labels, ids, 4, 0, epoch) for epoch in (1, 1, 2))
    assert sorted(np.concatenate(first)) == list(range(60))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    pairs = [{frozenset(pair) for rows in batches for pair in rows.reshape(-1, 2).tolist()} for batches in (first, next_epoch)]
    assert pairs[0] != pairs[1]


def test_the_draw_depends_on_ids_and_not_on_places():
    labels, ids, order = np.arange(24) % 4, np.arange(24), np.random.default_rng(0).permutation(24)
    here, there = ClassPairs()(labels, ids, 6, 0, 1), ClassPairs()(labels[order], ids[order], 6, 0, 1)
    assert [ids[rows].tolist() for rows in here] == [ids[order][rows].tolist() for rows in there]


@pytest.mark.parametrize("size", [7, 22])
def test_what_cannot_be_paired_is_refused_with_its_cure(size):
    with pytest.raises(UserError, match=rf"Pretrain\.batch_size = {size}: ClassPairs takes an even number .* Use 20"):
        ClassPairs().check(size, 10)
