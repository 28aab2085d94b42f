"""RankMe of a representation: how many directions it really uses (METRICS 7); label-free, larger is richer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from analysis.checks import require_one_stage
from analysis.measure import Drawn, Measure
from analysis.representation.embedding import At, embedding, require_at
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.signals import rankme
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class RankMe(Measure):
    """exp of the entropy of the singular values of the features of `on`, as shares of their sum: 1 (collapse) to min(N, d).

    It compares encoders of one loss family and one width alone. `at`: None reads the encoder's features, "projection" what the
    head makes of them. 0 where all features are 0, NaN where one is not finite.
    """

    on: Dataset
    at: At | None = None
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_at(self, self.at)

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`rankme`."""
        return {"rankme": rankme(embedding(model, self.on, self.at, workspace))}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """A row per method, a dot a seed, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn, "RankMe (directions)")
