"""Feature suppression: how much of one feature an encoder gives up for another that competes with it (METRICS 7, PROTOCOL 8.2 to 8.4).

A contrastive loss may be solved by whichever feature is easier: digits lose against random bits, objects against digits on them. The
index sets the loss of accuracy of a probe against all that training gave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from analysis.curve import area
from analysis.measure import Drawn, Measure, Parts
from contrast.component import require
from contrast.stage import Metrics, Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class FeatureSuppression(Measure):
    """(without - with) / (without - untrained) of the main results of measures of accuracy of *one* feature, such as `LinearProbe`.

    `of`: a measure for each of `levels`, of encoders trained beside the competing feature at that level (bits, digits in the pool,
    pixels of the other digit); `without` is that of the encoder trained without it, `untrained` that of an encoder as it was initialised.
    0 is as good as without it, 1 as bad as no training at all; beyond both there is more. Not a number where training has not helped.

    Results: `suppression`, the area under the index over `levels`, which increase, divided by their range; `index_<level>`; `without`
    and `untrained`. Arrays: `level`, `accuracy` and `index` [L].
    """

    without: Stage
    untrained: Stage
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        measures = (*self.of, self.without, self.untrained) if isinstance(self.of, tuple) else ()
        kinds = {type(measure) for measure in measures}
        alike = len(kinds) == 1 and issubclass(kinds.pop(), Measure)
        rule = "must be a tuple of measures of one kind, and so must `without` and `untrained`"
        require(alike, self, "of", rule, "Pass LinearProbe(net, ...) for every level.")
        number = len(measures) - 2
        require(len(self.levels) == number, self, "levels", f"must be {number}, one for each measure in `of`", "Name the level of each.")
        increasing = all(a < b for a, b in pairwise(self.levels))
        require(increasing, self, "levels", "must increase, each once", "Sort measures and levels.")

    def run(self, workspace: Workspace) -> Parts:
        """Reads what the measures found; no network is run."""
        return self.measure(None, workspace)
        yield {}

    def measure(self, model: None, workspace: Workspace) -> Metrics:
        """`suppression`, `index_<level>`, `without` and `untrained`."""
        assert isinstance(self.of, tuple)
        *each, without, untrained = [next(iter(workspace.of(stage).results.values())) for stage in (*self.of, self.without, self.untrained)]
        accuracy = np.array(each)
        index = suppression(accuracy, without, untrained)
        workspace.keep_arrays(level=np.array(self.levels, dtype=float), accuracy=accuracy, index=index)
        named = {f"index_{level:g}": value for level, value in zip(self.levels, index.tolist(), strict=True)}
        return {"suppression": area(self.levels, index.tolist()), **named, "without": without, "untrained": untrained}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """The index against the level of the competing feature, a panel per task, a line per method."""
        from analysis.figures.suppression import suppression as draw

        return draw(drawn)


def suppression(accuracy: Float[np.ndarray, " n"], without: float, untrained: float) -> Float[np.ndarray, " n"]:
    """The index of accuracies beside a competing feature; not a number unless `without` is above `untrained`."""
    gained = without - untrained
    index: np.ndarray = (without - accuracy) / gained if gained > 0 else np.full(len(accuracy), nan)
    return index
