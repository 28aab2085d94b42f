"""Loss surface around a finished classifier in the plane of two filter-normalised directions (PROTOCOL 5.4, METRICS 1).

All weights of encoder and classifier move, biases and normalisation stay; normalisation works in eval mode and is folded
once together with the directions, so that the points of the grid are evaluated without it. Directions come from
`direction_seed` alone: networks of one architecture are cut by corresponding planes, and compare.

Cross-entropy is not negative, so once the sum over the samples seen so far, divided by all samples, passes `ceiling`, the
point is known to lie above it: it is given up, holds `ceiling`, and is marked as clipped. Scalars that read a clipped
point take the ceiling for its loss: they are lower bounds there. The grid is visited from coarse to fine, so that there is a
picture after a few per cent of the work. Where the nearest point of a coarse lattice lies above the ceiling, samples are
looked at in the order of their losses there, hardest first, which proves sooner that a point lies above, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from analysis.checks import require_classes, require_classifier, require_grid, require_logits, require_one_class
from analysis.geometry.directions import cosine, filter_normalised
from analysis.geometry.grid import RADIUS, grid, nests, strides, summary
from analysis.geometry.surface import Plane
from analysis.measure import Drawn, Measure, Parts
from analysis.subset import stratified
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_ROWS = 4  # of the grid, in a part
_GUIDES = 0.1  # the largest share of the grid that is evaluated in full to tell which samples are hard


@dataclass(frozen=True)
class Landscape(Measure):
    """Mean cross-entropy of `on` on a `points` x `points` grid over [-span, span]^2, the network in the middle.

    `samples`: a stratified subset, None is all. `points` is odd, so that the middle is evaluated exactly. `pairs`: so many planes
    (at least 2), the same for all networks of one architecture; None is the first of them alone. Results: `flatness`, the mean rise
    of the loss on the ring of radius 0.5 (smaller is flatter); `loss_at_centre`; `radius_rise_1`, the mean radius at which the loss
    has risen by 1 nat, `span` where it has not, NaN where that lies above `ceiling`; `cosine` of the two directions;
    `clipped_share` of grid points; of several planes the means, `flatness_se` and `radius_rise_1_se`. Outputs that are
    not finite are above the ceiling; in the middle they, or probabilities, raise `UserError`. Arrays: `surface` and `clipped` [P, P],
    entry [i, j] at alphas[i] of the first direction and alphas[j] of the second, and `alphas` [P]; of several planes the mean,
    clipped in any, and `spread`, the standard deviation. While it runs, `surface` holds NaN where it is not measured yet.
    """

    on: Dataset
    points: int = 51
    span: float = 1.0
    samples: int | None = None
    direction_seed: int = 0
    ceiling: float = 4.0
    precision: Literal["fp32", "bf16"] = "fp32"
    pairs: int | None = None

    alone: ClassVar[bool] = True
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require_grid(self, RADIUS)
        require(self.precision in ("fp32", "bf16"), self, "precision", "must be 'fp32' or 'bf16'", "Use 'fp32' for the scalars.")

    @property
    def length(self) -> int:
        """Parts: a few rows of the grid each."""
        return len(list(self._parts()))

    def measure(self, model: Model, workspace: Workspace) -> Parts:
        """`flatness`, `loss_at_centre`, `radius_rise_1`, `cosine` and `clipped_share`."""
        pixels, labels = workspace.pixels(self.on, stratified(workspace.images(self.on).labels, self.samples))
        alphas, size = grid(self.points, self.span), (self.pairs or 1, self.points, self.points)
        done, state = workspace.restore()
        surface = state.get("surface", torch.full(size, torch.nan, dtype=torch.float64))
        hardness = state.get("hardness", torch.zeros(size[0], *self._guides, len(labels)))
        held, plane = 0, self._plane(model, 0, pixels, labels)
        outputs = plane.outputs(0.0, 0.0)
        require_classes(self, outputs.shape[1], self.on)
        require_logits(self, outputs)
        centre = plane.mean(outputs)
        for part, (pair, places, last) in enumerate(self._parts(), 1):
            if part <= done:
                continue
            if pair != held:
                held, plane = pair, self._plane(model, pair, pixels, labels)
            self._visit(plane, alphas, places, surface[pair], hardness[pair])
            workspace.save(part, {}, {"surface": surface, "hardness": hardness})
            if last:
                workspace.keep_arrays(**_so_far(surface.numpy(), alphas, centre, self.ceiling))
            yield {}
        results, arrays = summary(surface.numpy(), alphas, centre, self.ceiling)
        workspace.keep_arrays(**arrays)
        cosines = [cosine(*self._directions(model, pair)) for pair in range(size[0])]
        share = results.pop("clipped_share")
        return {**results, "cosine": float(np.mean(cosines)), "clipped_share": share}

    def _parts(self) -> Iterator[tuple[int, np.ndarray, bool]]:
        """Plane and places [n, 2] of each part, and whether all planes are then complete up to a lattice: all planes get finer together."""
        pairs = self.pairs or 1
        for nest in nests(self.points):
            chunks = np.array_split(nest, -(-len(nest) // (_ROWS * self.points)))
            for pair in range(pairs):
                for i, chunk in enumerate(chunks, 1):
                    yield pair, chunk, i == len(chunks) and pair == pairs - 1

    def _directions(self, model: Model, pair: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        first, second = (filter_normalised(model.net, self.direction_seed, 2 * pair + index) for index in (0, 1))
        return first, second

    def _plane(self, model: Model, pair: int, pixels: Tensor, labels: Tensor) -> Plane:
        precision = torch.bfloat16 if self.precision == "bf16" else torch.float32
        return Plane(model.net, *self._directions(model, pair), pixels, labels, precision)

    @property
    def _guide(self) -> int:
        """The step of the finest lattice of few enough points to be guides; 0 where none is."""
        few = [stride for stride in strides(self.points) if (1 + (self.points - 1) // stride) ** 2 <= _GUIDES * self.points**2]
        return few[-1] if few else 0

    @property
    def _guides(self) -> tuple[int, int]:
        side = 1 + (self.points - 1) // self._guide if self._guide else 0
        return side, side

    def _visit(self, plane: Plane, alphas: np.ndarray, places: np.ndarray, surface: Tensor, hardness: Tensor) -> None:
        """Fill in the surface [P, P] at some places, and at guides the loss of each sample, hardness [g, g, N]."""
        step = self._guide
        for i, j in places.tolist():
            a, b = float(alphas[i]), float(alphas[j])
            if not step:
                loss = plane.loss(a, b, self.ceiling)
            elif i % step == j % step == 0:
                outputs = plane.outputs(a, b)
                loss = plane.mean(outputs)
                hardness[i // step, j // step] = cross_entropy(outputs, plane.targets, reduction="none")
            else:
                near = hardness[round(i / step), round(j / step)].nan_to_num(torch.inf)
                high = float(near.mean()) > self.ceiling
                loss = plane.loss(a, b, self.ceiling, near.argsort(descending=True, stable=True) if high else None)
            surface[i, j] = loss if loss <= self.ceiling else torch.inf  # NaN, of weights that overflow, too

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Contours of the surface, a column per method."""
        from analysis.figures.landscape import landscape as draw

        return draw(drawn)


def _so_far(surfaces: np.ndarray, alphas: np.ndarray, centre: float, ceiling: float) -> dict[str, np.ndarray]:
    """The arrays of a picture of what is measured, NaN elsewhere."""
    missing = np.isnan(surfaces).any(axis=0)
    arrays = summary(np.where(missing, ceiling, surfaces), alphas, centre, ceiling)[1]
    return {**arrays, "surface": np.where(missing, np.nan, arrays["surface"])}
