"""Loss surface around a finished classifier in the plane of two filter-normalised directions (PROTOCOL 5.4, METRICS 1).

All weights of encoder and classifier move, biases and normalisation stay; normalisation works in eval mode and is folded
once together with the directions, so that the points of the grid are evaluated without it. Directions come from
`direction_seed` alone: networks of one architecture are cut by corresponding planes, and compare.

Cross-entropy is not negative, so once the sum over the samples seen so far, divided by all samples, passes `ceiling`, the
point is known to lie above it: it is given up, holds `ceiling`, and is marked as clipped. Scalars that read a clipped
point take the ceiling for its loss: they are lower bounds there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan, pi
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import scipy
import torch
from jaxtyping import Bool, Float

from analysis.checks import require_above, require_classes, require_classifier, require_one_class, require_samples
from analysis.geometry.directions import cosine, filter_normalised
from analysis.geometry.surface import Plane
from analysis.measure import Drawn, Measure
from analysis.subset import stratified
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

RADIUS = 0.5
_ANGLES, _RADII = 128, 256


@dataclass(frozen=True)
class Landscape(Measure):
    """Mean cross-entropy of `on` on a `points` x `points` grid over [-span, span]^2, the network in the middle.

    `samples`: a stratified subset, None is all. `points` is odd, so that the middle is evaluated exactly. Results:
    `flatness`, the mean rise of the loss on the ring of radius 0.5 (smaller is flatter); `loss_at_centre`;
    `radius_rise_1`, the mean radius at which the loss has risen by 1 nat, `span` where it has not; `cosine` of the two
    directions; `clipped_share` of grid points. Arrays: `surface` and `clipped` [P, P], entry [i, j] at
    alphas[i] of the first direction and alphas[j] of the second, and `alphas` [P].
    """

    on: Dataset
    points: int = 51
    span: float = 1.0
    samples: int | None = None
    direction_seed: int = 0
    ceiling: float = 4.0
    precision: Literal["fp32", "bf16"] = "fp32"

    alone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_classifier(self)
        require_one_class(self, "on")
        require(self.points >= 3 and self.points % 2 == 1, self, "points", "must be odd and at least 3", "Use 17, 25 or 51.")
        require(isfinite(self.span) and self.span >= RADIUS, self, "span", f"must be at least {RADIUS}, where flatness is read", "Use 1.0.")
        require_samples(self)
        require_above(self, "ceiling")
        require(self.precision in ("fp32", "bf16"), self, "precision", "must be 'fp32' or 'bf16'", "Use 'fp32' for the scalars.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`flatness`, `loss_at_centre`, `radius_rise_1`, `cosine` and `clipped_share`."""
        pixels, labels = workspace.pixels(self.on, stratified(workspace.images(self.on).labels, self.samples))
        u, v = (filter_normalised(model.net, self.direction_seed, index) for index in (0, 1))
        precision = torch.bfloat16 if self.precision == "bf16" else torch.float32
        plane = Plane(model.net, u, v, pixels, labels, precision)
        require_classes(self, plane.logits(plane.batches[0][0]).shape[1], self.on)
        centre = plane.loss(0.0, 0.0)
        alphas = grid(self.points, self.span)
        surface = np.array([[plane.loss(a, b, self.ceiling) for b in alphas] for a in alphas])
        clipped = ~(surface <= self.ceiling)  # NaN, of weights that overflow, too
        surface[clipped] = self.ceiling
        workspace.keep_arrays(surface=surface, clipped=clipped, alphas=alphas)
        rings = loss_on_rings(surface, alphas, np.linspace(0, self.span, _RADII + 1))
        flatness = loss_on_rings(surface, alphas, np.array([RADIUS])).mean() - centre
        seen = centre < self.ceiling  # of a solution above the ceiling nothing is seen, and nothing is claimed
        return {
            "flatness": float(flatness) if seen else nan,
            "loss_at_centre": centre,
            "radius_rise_1": radius_of_rise(rings, self.span, min(centre + 1, self.ceiling)) if seen else nan,
            "cosine": cosine(u, v),
            "clipped_share": float(clipped.mean()),
        }

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Contours of the surface, a column per method."""
        from analysis.figures.landscape import landscape as draw

        return draw(drawn)


def grid(points: int, span: float) -> Float[np.ndarray, " p"]:
    """`points` equally spaced numbers from -span to span, the middle one exactly 0, symmetric to the last bit."""
    return span * (2 * np.arange(points) - (points - 1)) / (points - 1)


def loss_on_rings(
    surface: Float[np.ndarray, "p p"], alphas: Float[np.ndarray, " p"], radii: Float[np.ndarray, " r"]
) -> Float[np.ndarray, "r a"]:
    """The surface on rings around the centre, at 128 equally spaced angles, bilinear between grid points."""
    angles = 2 * pi * np.arange(_ANGLES) / _ANGLES
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    inside = np.clip(radii[:, None, None] * ring, alphas[0], alphas[-1])  # rounding must not leave the grid
    values: np.ndarray = scipy.interpolate.RegularGridInterpolator((alphas, alphas), surface)(inside)
    return values


def radius_of_rise(rings: Float[np.ndarray, "r a"], span: float, level: float) -> float:
    """Mean over the angles of the radius where the loss first reaches `level`, `span` where it never does.

    `rings` are equally spaced from the centre to `span`; between two of them the loss is taken as linear.
    """
    radii = np.linspace(0, span, len(rings))
    reached: Bool[np.ndarray, "r a"] = rings >= level
    first = reached.argmax(axis=0)
    columns = np.arange(rings.shape[1])
    before, after = rings[np.maximum(first - 1, 0), columns], rings[first, columns]
    part = np.where(first > 0, (level - before) / np.where(after > before, after - before, 1), 0)
    crossing = radii[first] - (1 - part) * np.where(first > 0, radii[1], 0)
    return float(np.where(reached.any(axis=0), crossing, span).mean())
