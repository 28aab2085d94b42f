"""From all decoded images of a split to the ones a data set value names: classes, `per_class`, part."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from contrast.component import require
from contrast.data.cache import Decoded, open_decoded
from contrast.data.cache_folder import cache_folder
from contrast.data.dataset import RANKS_PER_CLASS, Dataset, Images
from contrast.data.rows import rows_of
from contrast.data.source import Found, Split, find

TEST_IDS = 1 << 48  # added to the ids of test images: no image of train has the id of one of test
EVERY = 10  # one image in so many is held out

Find = Callable[[Dataset, Path | None, Split], Found]


def select(dataset: Dataset, root: Path | None, looking: Find = find) -> Images:
    """The images that `dataset` names, in id order, read-only; what `Dataset.load` returns.

    `looking` finds the raw images. The pixels are a view of the node's memory map where the selection is contiguous there
    (all of a split, neighbouring classes), else a small copy or a large map of its own. Asking for the same value again costs
    nothing; a process goes on with the images of its first call even when the files change.
    """
    return _select(dataset, root, looking, cache_folder())


@lru_cache(maxsize=32)
def _select(dataset: Dataset, root: Path | None, looking: Find, cache: Path) -> Images:
    split: Split = "test" if dataset.part == "test" else "train"
    decoded = open_decoded(dataset, split, looking(dataset, root, split), cache)
    starts = _starts(dataset, split, decoded)
    places, labels, ids = [], [], []
    for place, (class_id, (start, count)) in enumerate(starts.items()):
        ranks = _ranks(dataset, class_id, count)
        places.append(start + ranks)
        labels.append(np.full(len(ranks), class_id if dataset.multi_label else place, dtype=np.int64))
        ids.append(class_id * RANKS_PER_CLASS + ranks + (TEST_IDS if split == "test" else 0))
    rows = np.concatenate(places)
    require(len(rows) > 0, dataset, "per_class", f"leaves no image for the part {dataset.part!r}", f"Use at least {EVERY} images a class.")
    targets = None if decoded.targets is None else decoded.targets[rows]
    files = None if decoded.files is None else decoded.files[rows]
    images = Images(rows_of(decoded.pixels, rows), np.concatenate(labels), np.concatenate(ids), targets=targets, files=files)
    for array in (images.pixels, images.labels, images.ids, *(array for array in (targets, files) if array is not None)):
        array.flags.writeable = False
    return images


def _starts(dataset: Dataset, split: Split, decoded: Decoded) -> dict[int, tuple[int, int]]:
    """For each wanted class, in the listed order, its first place and its number of images in the decoded arrays."""
    held, first, counts = np.unique(decoded.labels, return_index=True, return_counts=True)
    present = {int(c): (int(start), int(count)) for c, start, count in zip(held, first, counts, strict=True)}
    if dataset.multi_label:  # the first class of an image is what it is stratified by, and need not have images of its own
        return present
    wanted = dataset.classes if dataset.classes is not None else range(dataset.class_count)
    missing = [c for c in wanted if c not in present]
    require(
        not missing,
        dataset,
        "classes",
        f"class {_listed(missing)} must be in the {split} files of {dataset.name}, which have only {_listed(list(present))}",
        "Name classes among those, or complete the files.",
    )
    return {c: present[c] for c in wanted}


def _ranks(dataset: Dataset, class_id: int, count: int) -> np.ndarray:
    ranks = np.arange(count if dataset.per_class is None else min(count, dataset.per_class), dtype=np.int64)
    held_out = ranks % EVERY == EVERY - 1
    kept: np.ndarray = {"fit": ranks[~held_out], "held_out": ranks[held_out]}.get(dataset.part, ranks)
    if dataset.fraction is not None and dataset.part in ("whole", "fit"):
        share = kept[: round(dataset.fraction * len(kept))]
        rule = f"leaves class {class_id}, of {len(kept)} images, without one"
        require(len(share) > 0 or dataset.multi_label, dataset, "fraction", rule, "Raise it, or take more images.")
        kept = share
    rule = f"class {class_id} has {len(ranks)} images, too few for the part {dataset.part!r}, which holds out every tenth"
    require(len(kept) > 0 or dataset.multi_label, dataset, "per_class", rule, f"Use at least {EVERY} images a class.")
    return kept


def _listed(ids: list[int]) -> str:
    """Ids with runs joined: 0-4, 6, 11."""
    runs: list[list[int]] = []
    for i in ids:
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
