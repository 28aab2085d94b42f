"""Uniformity of an encoder's features on the unit sphere (PROTOCOL 2.9): label-free, smaller is more uniform."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from analysis.checks import require_above, require_one_stage
from analysis.measure import Measure
from analysis.representation.embedding import At, embedding, require_at
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.random import permutation
from contrast.signals import uniformity
from contrast.stage import Metrics, Workspace


@dataclass(frozen=True)
class Uniformity(Measure):
    """log mean_{i<j} exp(-t |x_i - x_j|^2) of L2-normalised encoder features of `on`, between -4t and 0 (collapse).

    `at`: None reads the encoder's features, "projection" what the head makes of them. `group` (at least 2): pairs are those within
    random groups of so many images, the same ones for all encoders, which for a monitor of N images takes group / N of the time; None
    is all pairs.
    """

    on: Dataset
    t: float = 2.0
    at: At | None = None
    group: int | None = None
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_above(self, "t")
        require_at(self, self.at)
        require(self.group is None or self.group >= 2, self, "group", "must be at least 2, a pair", "Use 2048, or None for all pairs.")

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Two images make a pair; images have the encoder's channels."""
        super().check(size)
        require(size(self.on) >= 2, self, "on", "must have 2 images or more", "Use 1,000 or more for a stable result.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`uniformity`."""
        features = embedding(model, self.on, self.at, workspace)
        if self.group is not None:
            features = features[torch.from_numpy(permutation(0, "uniformity", np.asarray(workspace.images(self.on).ids)))]
        return {"uniformity": uniformity(features, self.t, self.group).item()}
