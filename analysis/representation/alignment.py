"""Alignment of an encoder: how far apart it puts two views of one image (PROTOCOL 2.9); label-free, smaller is closer."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from analysis.checks import require_above, require_one_stage
from analysis.measure import Measure
from analysis.representation.embedding import At, require_at
from analysis.representation.shown import embedded_views
from contrast.augmentations.views import Views
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.signals import alignment
from contrast.stage import Metrics, Workspace


@dataclass(frozen=True)
class Alignment(Measure):
    """mean_i |x_i - y_i|^alpha of L2-normalised encoder features of the first two views of each image, 0 to 2^alpha.

    The views of an image depend on `seed` and its id alone, so all encoders are shown the same ones. `at`: None reads the encoder's
    features, "projection" what the head makes of them.
    """

    on: Dataset
    views: Views
    seed: int = 0
    alpha: float = 2.0
    at: At | None = None
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require(self.views.count >= 2, self, "views", "must give at least 2 views", "Use SimCLRViews().")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")
        require_above(self, "alpha")
        require_at(self, self.at)

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`alignment`."""
        shown = embedded_views(model.net, self.on, self.views, self.seed, self.at, workspace, most=2)
        first, second = torch.cat(list(shown)).unbind(1)
        return {"alignment": alignment(first, second, self.alpha).item()}
