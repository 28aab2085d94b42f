"""Loss surface of a linear classifier alone, its encoder standing still (METRICS 1): what a linear probe has learnt.

Logits are affine in the weights, Z0 + a Z1 + b Z2, so three [N, C] matrices of one feature pass give the loss at every point of
the grid, and the network is never run again. Directions are drawn for the classifier alone: they are the same for all
classifiers of one shape, on whatever encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from analysis.accuracy.logits import labels, logits
from analysis.checks import require_classifier, require_grid, require_one_class
from analysis.geometry.directions import cosine, filter_normalised
from analysis.geometry.grid import RADIUS, grid, summary
from analysis.measure import Drawn, Measure
from analysis.subset import stratified
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.finetune import Finetune
from contrast.heads.classifier import Classifier
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_BLOCK_BYTES = 16 << 20
_RULE, _CURE = "must end in a linear classifier, whose logits are affine in its weights", "Measure a Landscape, where all weights move."


@dataclass(frozen=True)
class HeadLandscape(Measure):
    """Mean cross-entropy of `on` on a `points` x `points` grid over [-span, span]^2, where the linear classifier's weights move.

    Fields, results and arrays are those of `Landscape`, and so is the filter normalisation: a step of 1 is as large as each
    class's weights. The encoder and the bias stand still.
    """

    on: Dataset
    points: int = 51
    span: float = 1.0
    samples: int | None = None
    direction_seed: int = 0
    ceiling: float = 4.0
    pairs: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require_grid(self, RADIUS)
        linear = not isinstance(self.of, Finetune) or self.of.head is None or isinstance(self.of.head, Classifier)
        require(linear, self, "of", _RULE, _CURE)

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`flatness`, `loss_at_centre`, `radius_rise_1`, `cosine` and `clipped_share`."""
        head = model.net.top
        require(isinstance(head, nn.Linear), self, "of", _RULE, _CURE)
        assert isinstance(head, nn.Linear)
        chosen = stratified(workspace.images(self.on).labels, self.samples)
        centre, y = logits(self, model, self.on, workspace)[chosen], labels(self.on, workspace)[chosen]
        features = workspace.features(model, self.on)[chosen].double()
        alphas, surfaces, cosines = grid(self.points, self.span), [], []
        for pair in range(self.pairs or 1):
            u, v = (filter_normalised(head, self.direction_seed, 2 * pair + index) for index in (0, 1))
            first, second = (features @ direction["weight"].cpu().double().T for direction in (u, v))
            surfaces.append(affine_surface(centre, first, second, y, alphas))
            cosines.append(cosine(u, v))
        middle = float(surfaces[0][self.points // 2, self.points // 2])
        results, arrays = summary(np.stack(surfaces), alphas, middle, self.ceiling)
        workspace.keep_arrays(**arrays)
        return {**results, "cosine": float(np.mean(cosines))}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Contours of the surface, a column per method."""
        from analysis.figures.landscape import landscape as draw

        return draw(drawn)


def affine_surface(
    centre: Float[Tensor, "n c"],
    first: Float[Tensor, "n c"],
    second: Float[Tensor, "n c"],
    labels: Int64[Tensor, " n"],
    alphas: Float[np.ndarray, " p"],
) -> Float[np.ndarray, "p p"]:
    """Mean cross-entropy of the logits centre + a first + b second at every a (row) and b (column) of `alphas`, in float64."""
    margins = [z - z.gather(1, labels[:, None]) for z in (centre, first, second)]
    steps = torch.from_numpy(alphas)
    block = max(1, _BLOCK_BYTES // max(1, 8 * centre.numel()))
    rows = []
    for a in alphas.tolist():
        row, third = margins[0] + a * margins[1], margins[2]
        parts = [(row + b[:, None, None] * third).logsumexp(dim=-1).mean(dim=-1) for b in steps.split(block)]
        rows.append(torch.cat(parts))
    surface: np.ndarray = torch.stack(rows).numpy()
    return surface
