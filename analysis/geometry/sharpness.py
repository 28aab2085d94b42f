"""Sharpness: how far the loss can be raised by a small step in weight space, and how far it rises on average (METRICS 2)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from analysis.checks import require_above, require_classes, require_classifier, require_logits, require_one_class, require_samples
from analysis.geometry.objective import Objective
from analysis.measure import Measure, Parts
from analysis.subset import stratified
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.random import generator
from contrast.stage import Workspace

_REACH = 2.5  # the way that the steps of an ascent could go together, in radii

Task = Callable[[Objective], list[float]]  # what a part finds


@dataclass(frozen=True)
class Sharpness(Measure):
    """The largest rise of the mean cross-entropy of `on`, in nats, over a ball around the weights, in eval mode.

    With T the sizes of the weights, the ball is |T^-1 e| <= `adaptive_rho` (adaptive SAM: a network whose layers are rescaled without
    a change of its function keeps its sharpness) and |e| <= `rho` (SAM: it does not). `scale` "weight" takes for T the absolute value
    of each weight, "filter" the length of each filter for the tensors of two or more axes; a weight of 0 stays where it is under
    "weight". Results: `adaptive` and `sam`, the largest rise that is met in `steps` steps of normalised ascent, at least 0;
    `adaptive_1` and `sam_1` after one step of the whole radius, which may lower the loss; `average`, the mean rise over `directions`
    Gaussian draws g of the step `sigma` T g, with `average_se`; `loss` before. Where the gradient is 0 no ascent begins, and the rise
    is 0. `samples`: a stratified subset, None is all.
    """

    on: Dataset
    samples: int | None = 512
    rho: float = 0.05
    adaptive_rho: float = 0.5
    steps: int = 20
    scale: Literal["weight", "filter"] = "weight"
    sigma: float = 0.05
    directions: int = 32
    seed: int = 0

    alone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require_samples(self)
        for field in ("rho", "adaptive_rho", "sigma"):
            require_above(self, field)
        require(self.steps >= 1, self, "steps", "must be at least 1", "Use 20.")
        require(self.scale in ("weight", "filter"), self, "scale", "must be 'weight' or 'filter'", "Use 'weight'.")
        require(self.directions >= 2, self, "directions", "must be at least 2, which have an error", "Use 32.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    @property
    def length(self) -> int:
        """The two balls and the average."""
        return 3

    def measure(self, model: Model, workspace: Workspace) -> Parts:
        """`adaptive`, `adaptive_1`, `sam`, `sam_1`, `average`, `average_se` and `loss`."""
        done, state = workspace.restore()
        rows = stratified(workspace.images(self.on).labels, self.samples)
        objective = Objective(model.net, *workspace.pixels(self.on, rows))
        outputs = objective.logits()
        require_classes(self, outputs.shape[1], self.on)
        require_logits(self, outputs)
        tasks: dict[str, Task] = {"adaptive": self._adaptive, "sam": self._sam, "average": self._average}
        for part, (name, task) in enumerate(list(tasks.items())[done:], done + 1):
            state[name] = torch.tensor(task(objective), dtype=torch.float64)
            workspace.save(part, {}, state)
            yield {}
        adaptive, sam, average = (state[name].tolist() for name in tasks)
        results = {"adaptive": adaptive[1], "adaptive_1": adaptive[0], "sam": sam[1], "sam_1": sam[0]}
        return {**results, "average": average[0], "average_se": average[1], "loss": objective.loss()}

    def _adaptive(self, objective: Objective) -> list[float]:
        sizes = scales(objective, self.scale)
        return self._rises(objective, sizes, self.adaptive_rho)

    def _sam(self, objective: Objective) -> list[float]:
        return self._rises(objective, torch.ones_like(objective.at), self.rho)

    def _rises(self, objective: Objective, sizes: Tensor, radius: float) -> list[float]:
        return [rise(objective.loss, objective.gradient, objective.at, sizes, radius, steps) for steps in (1, self.steps)]

    def _average(self, objective: Objective) -> list[float]:
        draws, sizes, before = generator(self.seed, "sharpness directions"), scales(objective, self.scale), objective.loss()
        rises = []
        for _ in range(self.directions):
            step = torch.randn(len(sizes), generator=draws, dtype=torch.float64).to(sizes.device)
            rises.append(objective.loss(objective.at + self.sigma * sizes * step) - before)
        found = torch.tensor(rises, dtype=torch.float64)
        return [found.mean().item(), found.std().item() / sqrt(len(rises))]


def scales(objective: Objective, scale: Literal["weight", "filter"]) -> Float64[Tensor, " p"]:
    """T: the absolute value of every weight, or, of tensors of two or more axes, the length of its filter."""
    if scale == "weight":
        return objective.at.abs()
    parts = objective.named(objective.at).values()
    return torch.cat([(_lengths(part) if part.dim() > 1 else part.abs()).reshape(-1) for part in parts])


def _lengths(filters: Tensor) -> Tensor:
    flat = filters.flatten(1)
    lengths: Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
    return lengths.expand(flat.shape)


def rise(
    loss: Callable[[Tensor], float],
    gradient: Callable[[Tensor], Tensor],
    at: Float64[Tensor, " p"],
    sizes: Float64[Tensor, " p"],
    radius: float,
    steps: int,
) -> float:
    """The largest rise of the loss met on `steps` steps of normalised ascent in e / T, |e / T| <= radius; of one step, its own rise.

    Infinite where the loss met is not finite: a network that overflows in the ball is not flat.
    """
    before, best = loss(at), 0.0
    place, pace = torch.zeros_like(at), radius * (1 if steps == 1 else _REACH / steps)
    for _ in range(steps):
        slope = sizes * gradient(at + sizes * place)
        length = slope.norm()
        if length == 0:
            break
        place = place + pace / length * slope
        place = place * (radius / place.norm()).clamp(max=1)
        found = loss(at + sizes * place) - before
        if not isfinite(found):
            return inf
        best = found if steps == 1 else max(best, found)
    return best
