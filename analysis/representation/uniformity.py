"""Uniformity of an encoder's features on the unit sphere (PROTOCOL 2.9): label-free, smaller is more uniform."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from analysis.checks import require_above, require_one_stage
from analysis.measure import Measure
from analysis.representation.embedding import At, embedding, require_at
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.signals import uniformity
from contrast.stage import Metrics, Workspace


@dataclass(frozen=True)
class Uniformity(Measure):
    """log mean_{i<j} exp(-t |x_i - x_j|^2) of L2-normalised encoder features of `on`, between -4t and 0 (collapse).

    `at`: None reads the encoder's features, "projection" what the head makes of them. `precision` is that of the products of all
    pairs, "fp32" or "bf16": the latter takes a third of the time where the processor multiplies in it, for monitors of many images,
    and moves the result by less than 1e-4 at t = 2 and thousands of images, by up to 1e-2 where they lie in few tight clusters or in
    two dimensions.
    """

    version: ClassVar[int] = 2

    on: Dataset
    t: float = 2.0
    at: At | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_above(self, "t")
        require_at(self, self.at)
        require(self.precision in ("fp32", "bf16"), self, "precision", 'must be "fp32" or "bf16"', 'Use "fp32".')

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Two images make a pair; images have the encoder's channels."""
        super().check(size)
        require(size(self.on) >= 2, self, "on", "must have 2 images or more", "Use 1,000 or more for a stable result.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`uniformity`."""
        features = embedding(model, self.on, self.at, workspace)
        return {"uniformity": uniformity(features, self.t, torch.bfloat16 if self.precision == "bf16" else None).item()}
