"""LiDAR of a representation: how many directions tell images apart whatever the augmentation (METRICS 7); label-free."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, ClassVar

from analysis.checks import require_above, require_one_stage
from analysis.measure import Drawn, Measure
from analysis.representation.embedding import At, require_at
from analysis.representation.shown import embedded_views
from contrast.augmentations.views import Views
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.signals import lidar, view_scatter
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class LiDAR(Measure):
    """exp of the entropy of the eigenvalues of Sw^-1/2 Sb Sw^-1/2, 1 to min(N - 1, d) directions; larger is better.

    Sb is the covariance of the images of `on`, each the mean of its views, Sw that of `views` (10 or more, such as
    `SimCLRViews(10)`) around them, plus `delta` times the identity. The paper takes 1,000 images or more. Views depend on `seed` and
    the image's id alone. `at`: None reads the encoder's features, "projection" what the head makes of them. 0 where the encoder
    gives one output whatever the image, NaN where a feature is not finite.
    """

    on: Dataset
    views: Views
    seed: int = 0
    delta: float = 1e-4
    at: At | None = None
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require(self.views.count >= 10, self, "views", "must give at least 10 views", "Use SimCLRViews(10).")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")
        require_above(self, "delta")
        require_at(self, self.at)

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Two images must be there to be told apart, and have the encoder's channels."""
        super().check(size)
        require(size(self.on) >= 2, self, "on", "must have 2 images or more", "Use 1,000 for a result that does not depend on them.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`lidar`."""
        batches = embedded_views(model.net, self.on, self.views, self.seed, self.at, workspace)
        return {"lidar": lidar(reduce(add, map(view_scatter, batches)), self.delta)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """A row per method, a dot a seed, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn, "LiDAR (directions)")
