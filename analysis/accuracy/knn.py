"""Accuracy of the weighted nearest-neighbour vote on frozen features, in percent: no training, so a cheap monitor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from analysis.checks import require_above, require_one_class, require_one_stage, require_same_classes, split
from analysis.measure import Measure
from analysis.representation.embedding import At, embedding, require_at
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.signals import knn_predictions_by_k
from contrast.stage import Metrics, Workspace


@dataclass(frozen=True)
class KNN(Measure):
    """Each sample of `on` is classified by its `k` nearest of `bank`, weighted by exp(cosine / temperature).

    `bank=None` is leave-one-out on `on`. Where both are parts of one training or test split, a sample is removed from its own
    neighbours by its id. Raises `UserError` for k beyond the bank, and for a bank of other classes. `KNNCurve` is the same for
    several k. `at`: None reads the encoder's features, "projection" what the head makes of them. A collapsed encoder, which has one
    output for every image, is at chance: all are classified alike. NaN where a feature is not finite. METRICS 8.
    """

    on: Dataset
    bank: Dataset | None = None
    k: int = 20
    temperature: float = 0.07
    at: At | None = None
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "on", "bank")
        require(self.k >= 1, self, "k", "must be at least 1", "Use 20, or 200 for large data.")
        require_above(self, "temperature")
        require_at(self, self.at)
        if self.bank is not None:
            require_same_classes(self, "bank")

    def check(self, size: Callable[[Dataset], int]) -> None:
        """k neighbours must exist, and images have the encoder's channels."""
        super().check(size)
        most = neighbours(self.on, self.bank, size)
        require(self.k <= most, self, "k", f"must be at most {most}, the neighbours there are", "Lower k or enlarge the bank.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy`."""
        self.check(lambda dataset: len(workspace.images(dataset).labels))
        return {"accuracy": accuracies(model, self.on, self.bank, self.at, (self.k,), self.temperature, workspace)[0]}


def neighbours(on: Dataset, bank: Dataset | None, size: Callable[[Dataset], int]) -> int:
    """How many neighbours each image of `on` has in `bank`, None being `on` itself."""
    return size(bank or on) - _share_images(on, bank)


def accuracies(
    model: Model, on: Dataset, bank: Dataset | None, at: At | None, ks: Sequence[int], temperature: float, workspace: Workspace
) -> list[float]:
    """Percent of `on` that the vote of its k nearest of `bank` gets right, for each k of `ks`; NaN where a feature is not finite."""
    ids, labels = _ids_and_labels(on, workspace)
    bank_ids, bank_labels = _ids_and_labels(bank or on, workspace)
    named = (ids, bank_ids) if _share_images(on, bank) else (None, None)
    features, stored = (embedding(model, data, at, workspace) for data in (on, bank or on))
    if not (features.isfinite().all() and stored.isfinite().all()):
        return [nan] * len(ks)
    predicted = knn_predictions_by_k(features, stored, bank_labels, ks, temperature, *named)
    return [100 * int(right) / len(labels) for right in (predicted == labels).sum(dim=1)]


def _ids_and_labels(data: Dataset, workspace: Workspace) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    images = workspace.images(data)
    return torch.from_numpy(np.array(images.ids)), torch.from_numpy(np.array(images.labels))


def _share_images(on: Dataset, bank: Dataset | None) -> bool:
    """Whether ids of bank and queries name the same images: both of one training split, or of one test split."""
    return bank is None or bank == on or split(bank) == split(on)
