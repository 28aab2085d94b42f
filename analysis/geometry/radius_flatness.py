"""How far a network may move in a random direction before its loss rises (METRICS 1): flatness as a length, with its error.

Along each of many filter-normalised directions, loss and error are profiled on a grid on both sides of the solution. The
radius at which the loss first reaches a level lies between two points of it, and is found there by bisection, for which it is
enough to know whether a loss lies above: cross-entropy is not negative, so some of the samples may prove it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from analysis.checks import require_above, require_classes, require_classifier, require_logits, require_one_class, require_samples
from analysis.geometry.directions import filter_normalised
from analysis.geometry.grid import grid, standard_error
from analysis.geometry.surface import Plane
from analysis.measure import Drawn, Measure, Parts
from analysis.subset import stratified
from contrast.component import require, require_count
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Workspace

if TYPE_CHECKING:
    import matplotlib.figure

RISES = (1.0, 0.1)
_HALVINGS = 7
_MOST = 10_000


@dataclass(frozen=True)
class RadiusFlatness(Measure):
    """Mean radius, in filter-normalised units, at which the cross-entropy of `on` has risen by 1 and by 0.1 nats (larger is flatter).

    `directions` (2 or more) are drawn from `direction_seed` and the shapes of the weights, so that networks of one architecture
    share them; each is followed on both sides up to `span`, the radius of one that does not rise within it. `points` (odd) of -span
    to span make the profile, between two of which the first crossing is found to a hundredth of their distance. `samples`: a
    stratified subset, None is all. Results: `radius_rise_1`, `radius_rise_0.1` and, over directions, their standard errors
    `..._se`; `loss_at_centre`; `censored_share` of the rays that do not rise by 1 nat within `span`. Outputs of the network itself
    that are not finite, or are probabilities, raise `UserError`. Arrays: `alphas` [P], `loss` (nats; infinite where outputs are not
    finite) and `error` (per cent) [K, P], and `radii` [K, 2], of a rise by 1 and by 0.1.
    """

    on: Dataset
    directions: int = 32
    points: int = 21
    span: float = 1.0
    samples: int | None = None
    direction_seed: int = 0

    alone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require_count(self, "directions", _MOST, "Use 32.", least=2)
        require(self.points >= 3 and self.points % 2 == 1, self, "points", "must be odd and at least 3", "Use 21.")
        require_above(self, "span")
        require_samples(self)

    @property
    def length(self) -> int:
        """Parts: a direction each."""
        return self.directions

    def measure(self, model: Model, workspace: Workspace) -> Parts:
        """`radius_rise_1` and `radius_rise_0.1` with their errors, `loss_at_centre` and `censored_share`."""
        pixels, labels = workspace.pixels(self.on, stratified(workspace.images(self.on).labels, self.samples))
        alphas = grid(self.points, self.span)
        done, state = workspace.restore()
        profiles = state.get("profiles", torch.zeros(self.directions, 2, self.points, dtype=torch.float64))
        radii = state.get("radii", torch.zeros(self.directions, 2, len(RISES), dtype=torch.float64))
        for index in range(done, self.directions):
            line = Plane(model.net, filter_normalised(model.net, self.direction_seed, index), None, pixels, labels)
            outputs = line.outputs(0.0, 0.0)
            require_classes(self, outputs.shape[1], self.on)
            require_logits(self, outputs)
            profiles[index] = torch.tensor([loss_and_error(line, a) for a in alphas.tolist()], dtype=torch.float64).T
            radii[index] = torch.tensor(rises(line, alphas, profiles[index, 0].numpy()), dtype=torch.float64)
            workspace.save(index + 1, {}, {"profiles": profiles, "radii": radii})
            yield {}
        means = radii.mean(dim=1).numpy()
        workspace.keep_arrays(alphas=alphas, loss=profiles[:, 0].numpy(), error=profiles[:, 1].numpy(), radii=means)
        centre = profiles[0, 0, self.points // 2].item()
        results = {f"radius_rise_{rise:g}": float(column.mean()) for rise, column in zip(RISES, means.T, strict=True)}
        results |= {f"radius_rise_{rise:g}_se": standard_error(column.tolist()) for rise, column in zip(RISES, means.T, strict=True)}
        results["censored_share"] = (radii[..., 0] >= self.span).double().mean().item()
        return {**results, "loss_at_centre": centre}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Loss and error against the step, a row per task, a line per method."""
        from analysis.figures.radius_flatness import radius_flatness as draw

        return draw(drawn)


def loss_and_error(line: Plane, a: float) -> tuple[float, float]:
    """Mean loss, infinite where outputs are not finite, and per cent of samples that are misclassified, at `a`."""
    outputs = line.outputs(a, 0.0)
    sound = outputs.isfinite().all(dim=1)
    wrong = (outputs.argmax(dim=1) != line.targets) | ~sound
    return line.mean(outputs) if sound.all() else torch.inf, 100 * wrong.double().mean().item()


def rises(line: Plane, alphas: Float[np.ndarray, " p"], losses: Float[np.ndarray, " p"]) -> list[list[float]]:
    """The radius of each of `RISES` on both sides of the middle: [[up by 1, up by 0.1], [the same of negative steps]]."""
    middle = len(alphas) // 2
    found = []
    for sign, outward in ((1, slice(middle, None)), (-1, slice(middle, None, -1))):

        def above(radius: float, level: float, sign: int = sign) -> bool:
            return not line.loss(sign * radius, 0.0, level) <= level

        levels = [float(losses[middle]) + rise for rise in RISES]
        found.append([crossing(above, np.abs(alphas[outward]), losses[outward], level) for level in levels])
    return found


def crossing(above: Callable[[float, float], bool], radii: Float[np.ndarray, " r"], losses: Float[np.ndarray, " r"], level: float) -> float:
    """Where the loss, known at increasing `radii`, is first seen above `level`, to a hundredth of a step; the last radius where never."""
    high = np.flatnonzero(~(losses <= level))
    if len(high) == 0 or high[0] == 0:
        return float(radii[-1] if len(high) == 0 else radii[0])
    low, upper = float(radii[high[0] - 1]), float(radii[high[0]])
    for _ in range(_HALVINGS):
        middle = (low + upper) / 2
        low, upper = (low, middle) if above(middle, level) else (middle, upper)
    return (low + upper) / 2
