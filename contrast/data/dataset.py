"""A data set is a value: which images, of which classes, which part. Reading it is `load`.

Samples come in id order: by class in the listed order, then by rank, where a sample's rank is the place of its content
hash among the images of its class. So every file layout and row order is one and the same data set, the held-out cut is
the same for all seeds, and a smaller `per_class` is contained in a larger one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, TypeVar

import numpy as np

from contrast.component import Component, UserError, require

Phase = Literal["search", "confirm"]
Part = Literal["whole", "fit", "held_out", "test"]
Metric = Literal["top-1", "mean per class", "11-point mAP"]
Kind = TypeVar("Kind", bound="Dataset")  # not typing.Self, which beartype checks in whole classes only
RANKS_PER_CLASS = 1 << 24
IGNORED = 255  # of a target: whether the image shows the class is left open, and neither trained on nor scored


class Images(NamedTuple):
    """Decoded images in id order. `pixels` uint8 [N, C, H, W], `labels` int64 [N] in 0..classes-1, `ids` int64 [N].

    `redrawn` gives the pixels of some rows in an epoch of training, from 1, of data that are made anew in each; None of all others.
    `targets` uint8 [N, classes], of images that show several classes: 1 for each class shown, 0 for others, `IGNORED` where that is
    left open; then `labels` are the first class shown, by which parts are stratified, and no targets to train on. None of all others.
    `files` uint8 [N, bytes]: the hashes of the files of images that were scaled, which rank them; None of images ranked by their pixels.
    """

    pixels: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    redrawn: Callable[[np.ndarray, int], np.ndarray] | None = None
    targets: np.ndarray | None = None
    files: np.ndarray | None = None

    @property
    def content(self) -> np.ndarray:
        """What ranks the images, and those that are made of them."""
        return self.pixels if self.files is None else self.files

    def seen(self, rows: np.ndarray, epoch: int) -> np.ndarray:
        """The pixels of `rows` as training sees them in `epoch`."""
        seen: np.ndarray = self.pixels[rows] if self.redrawn is None else self.redrawn(rows, epoch)
        return seen


@dataclass(frozen=True)
class Dataset(Component, ABC):
    """Labelled images. Subclasses set the class variables (or give properties) and say in `load` where the images come from.

    `classes`: the class ids to keep, re-indexed 0.. in the listed order; None keeps all. `per_class`: at most this many
    images a class (the first by rank), counted before the held-out cut. `part` is set by `whole`, `fit` and `held_out`:
    *whole* is all of train, *fit* and *held_out* a stratified 90 / 10 cut of train, *test* the test split. `fraction`, above 0
    and at most 1: that share of each class of *whole* and *fit* (the first by rank, rounded), so that smaller fractions lie within
    larger ones; one that leaves a class without an image is refused. What is scored, *held_out* and *test*, stays whole (PROTOCOL 4.2).
    `metric` is the one that the literature reports of the data set. `multi_label`: whether an image may show several classes, which
    are its `Images.targets`; such data have no selection of classes.
    """

    metric: ClassVar[Metric] = "top-1"
    multi_label: ClassVar[bool] = False

    classes: tuple[int, ...] | None = None
    per_class: int | None = None
    part: Part = "whole"
    fraction: float | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """What stands for the content: two data sets of one name hold the same images; also the folder's name under the root."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""

    @property
    @abstractmethod
    def mean(self) -> tuple[float, ...]:
        """What a network subtracts from each channel of pixels in [0, 1]."""

    @property
    @abstractmethod
    def std(self) -> tuple[float, ...]:
        """What a network then divides each channel by."""

    @property
    @abstractmethod
    def class_count(self) -> int:
        """The number of classes before selection."""

    def __post_init__(self) -> None:
        ids = self.classes if self.classes is not None else ()
        known = all(isinstance(c, int) and 0 <= c < self.class_count for c in ids)
        require(known, self, "classes", f"{self.name} has class ids 0 to {self.class_count - 1}", "Name ids in that range.")
        require(len(set(ids)) == len(ids), self, "classes", "must name each class once", "Drop the repeated id.")
        require(self.classes is None or len(ids) > 0, self, "classes", "must not be empty", "Use None for all classes.")
        several = not self.multi_label or self.classes is None
        require(several, self, "classes", "must be None, since an image shows several classes", "Keep all of them.")
        require(self.per_class is None or self.per_class >= 1, self, "per_class", "must be at least 1", "Use None for all.")
        share = self.fraction is None or 0 < self.fraction <= 1
        require(share, self, "fraction", "must be above 0 and at most 1", "Use 0.1 for 10 %, None for all.")
        if self.fraction == 1:
            object.__setattr__(self, "fraction", None)
        require(
            self.part in ("whole", "fit", "held_out", "test"), self, "part", "is not a part", "Use .whole, .fit(phase) or .held_out(phase)."
        )

    @property
    def whole(self: Kind) -> Kind:
        """All of the training split."""
        return replace(self, part="whole")

    def fit(self: Kind, phase: Phase) -> Kind:
        """What may be fitted on: 90 % of train in the search phase, all of train to confirm."""
        return replace(self, part="fit" if _checked(phase) == "search" else "whole")

    def held_out(self: Kind, phase: Phase) -> Kind:
        """What is scored: the other 10 % of train in the search phase, the test split to confirm."""
        return replace(self, part="held_out" if _checked(phase) == "search" else "test")

    @property
    def lasts(self) -> bool:
        """Whether every epoch of a training sees the same images."""
        return True

    @property
    def num_classes(self) -> int:
        """The number of classes after selection."""
        return self.class_count if self.classes is None else len(self.classes)

    @abstractmethod
    def load(self, root: Path | None) -> Images:
        """The selected images in id order, memory-mapped from the node's cache, which is built at the first call.

        `root` is the image folder (`--data` or CONTRAST_DATA). Raises `UserError` when the data cannot be found, are torn,
        lack a class, or differ from the pinned digest.
        """


def _checked(phase: Phase) -> Phase:
    if phase not in ("search", "confirm"):
        raise UserError(f"phase = {phase!r}: must be 'search' or 'confirm'. Pass on the phase that the space was called with.")
    return phase
