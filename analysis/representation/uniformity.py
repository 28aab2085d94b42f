"""Uniformity of an encoder's features on the unit sphere (PROTOCOL 2.9): label-free, smaller is more uniform."""

from dataclasses import dataclass
from typing import ClassVar

from analysis.checks import require_above, require_one_stage
from analysis.measure import Measure
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.signals import uniformity
from contrast.stage import Metrics, Workspace


@dataclass(frozen=True)
class Uniformity(Measure):
    """log mean_{i<j} exp(-t |x_i - x_j|^2) of L2-normalised encoder features of `on`, between -4t and 0 (collapse)."""

    on: Dataset
    t: float = 2.0
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_above(self, "t")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`uniformity`."""
        return {"uniformity": uniformity(workspace.features(model, self.on), self.t).item()}
