"""Accuracy of the weighted nearest-neighbour vote on frozen features, in percent: no training, so a cheap monitor."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch

from analysis.checks import require_above, require_one_class, require_one_stage
from analysis.measure import Measure
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.signals import knn_accuracy
from contrast.stage import Metrics, Workspace


@dataclass(frozen=True)
class KNN(Measure):
    """Each sample of `on` is classified by its `k` nearest of `bank`, weighted by exp(cosine / temperature).

    `bank=None` is leave-one-out on `on`. Where both are parts of one training split, a sample is removed from its own
    neighbours by its id. Raises `UserError` for k beyond the bank, and for a bank of other classes. METRICS 8.
    """

    on: Dataset
    bank: Dataset | None = None
    k: int = 20
    temperature: float = 0.07

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "on", "bank")
        require(self.k >= 1, self, "k", "must be at least 1", "Use 20, or 200 for large data.")
        require_above(self, "temperature")
        bank = self.bank or self.on
        same = bank.num_classes == self.on.num_classes and (bank.name != self.on.name or bank.classes == self.on.classes)
        require(same, self, "bank", "must have the classes of `on`, in the same order", "Take both from one data set.")

    @property
    def _shared(self) -> bool:
        """Whether ids of bank and queries name the same images: both of one training split, or the same data."""
        return self.bank is None or self.bank == self.on or _training_split(self.bank) == _training_split(self.on) is not None

    def check(self, size: Callable[[Dataset], int]) -> None:
        """k neighbours must exist, and images have the encoder's channels."""
        super().check(size)
        most = size(self.bank or self.on) - self._shared
        require(self.k <= most, self, "k", f"must be at most {most}, the neighbours there are", "Lower k or enlarge the bank.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy`."""
        bank = self.bank or self.on
        self.check(lambda dataset: len(workspace.images(dataset).labels))
        ids, labels = (torch.from_numpy(np.array(part)) for part in (workspace.images(self.on).ids, workspace.images(self.on).labels))
        stored = workspace.images(bank)
        accuracy = knn_accuracy(
            workspace.features(model, self.on),
            labels,
            workspace.features(model, bank),
            torch.from_numpy(np.array(stored.labels)),
            self.k,
            self.temperature,
            ids if self._shared else None,
            torch.from_numpy(np.array(stored.ids)) if self._shared else None,
        )
        return {"accuracy": accuracy}


def _training_split(data: Dataset) -> tuple[object, ...] | None:
    """What names the training split that `data` is a part of; None for the test split."""
    if data.part == "test":
        return None
    chosen = ("classes", "per_class", "part", "fraction")
    return (type(data), *(getattr(data, field.name) for field in fields(data) if field.name not in chosen))
