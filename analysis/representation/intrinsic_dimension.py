"""Intrinsic dimension of a representation by two nearest neighbours, TwoNN (METRICS 7); label-free.

Facco et al., 2017, "Estimating the intrinsic dimension of datasets by a minimal neighborhood information": where the density is
constant over the second neighbour's distance, mu = r2 / r1 has the distribution F(mu) = 1 - mu^-d whatever that density is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import require_one_stage
from analysis.measure import Drawn, Measure
from analysis.representation.embedding import At, embedding, require_at
from analysis.representation.neighbours import neighbour_distances
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class IntrinsicDimension(Measure):
    """The d of F(mu) = 1 - mu^-d, mu the ratio of each image's distances to its second and first neighbour among those of `on`.

    The slope through 0 of -log(1 - F) against log mu, without the largest `discard` of the ratios. An image that lies on another
    has no ratio and is left out. `at`: None reads the encoder's features, "projection" what the head makes of them. NaN where
    fewer than 2 ratios are left, all are 1, or a feature is not finite.
    """

    on: Dataset
    discard: float = 0.1
    at: At | None = None
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require(0 <= self.discard < 1, self, "discard", "must be a share from 0 to below 1", "0.1 is as published.")
        require_at(self, self.at)

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Each image needs two others, and images have the encoder's channels."""
        super().check(size)
        require(size(self.on) >= 3, self, "on", "must have 3 images or more", "Use 1,000 or more for a stable result.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`dimension`."""
        return {"dimension": two_nn(embedding(model, self.on, self.at, workspace), self.discard)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """A row per method, a dot a seed, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn, "intrinsic dimension (TwoNN)")


def two_nn(features: Float[Tensor, "n d"], discard: float = 0.1) -> float:
    """TwoNN of at least 3 rows; see `IntrinsicDimension`."""
    if not features.isfinite().all():
        return math.nan
    first, second = neighbour_distances(features, 2).unbind(1)
    ratios = (second / first)[first > 0].sort().values
    kept = int(len(ratios) * (1 - discard))
    if kept < 2:
        return math.nan
    x = ratios[:kept].log()
    share = torch.arange(1, kept + 1, dtype=torch.float64, device=x.device) / len(ratios)
    inside = share < 1  # with nothing discarded the last ratio has no -log(1 - F)
    x, y = x[inside], -torch.log1p(-share[inside])
    return float(x @ y / (x @ x))
