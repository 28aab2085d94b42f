"""Linear probe: multinomial logistic regression on frozen features, its strength of regularisation chosen off the score.

The objective is mean cross-entropy + l2/2 |W|^2 with a free bias, so l2 = 1 / (N C) in scikit-learn's terms. Features are
centred and divided by one number, their root mean square deviation, so that one grid of l2 fits every encoder and no
direction is favoured. The l2 with the best accuracy on a stratified held-out tenth of `data` (then the lower loss, then
the stronger l2) is refitted on all of `data`. METRICS 8.

The objective is convex, and turning the features leaves it as it is. So they are turned to their principal axes, where
the curvature is nearly diagonal: L-BFGS in float64 works on weights scaled by a bound of it, and needs few steps.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from analysis.checks import require_one_class, require_one_stage
from analysis.measure import Measure
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

HALF_DECADES = tuple(10 ** (exponent / 2) for exponent in range(-12, 3))


@dataclass(frozen=True)
class LinearProbe(Measure):
    """Top-1 accuracy on `on`, 0 to 100, of the probe fitted on `data`; `l2` is a grid, 1e-6 to 10 by default."""

    data: Dataset
    on: Dataset
    l2: tuple[float, ...] = HALF_DECADES

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "data", "on")
        good = len(self.l2) > 0 and all(isfinite(strength) and strength > 0 for strength in self.l2)
        require(good, self, "l2", "must be numbers above 0", "Name one or more strengths, such as 1e-4.")
        same = self.data.num_classes == self.on.num_classes and (self.data.name != self.on.name or self.data.classes == self.on.classes)
        require(same, self, "data", "must have the classes of `on`, in the same order", "Take both from one data set.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy` and the chosen `l2`."""
        x, y = workspace.features(model, self.data).double(), _labels(self.data, workspace)
        centre = x.mean(dim=0)
        scale = (x - centre).square().mean().sqrt().clamp(min=1e-12)
        turn = torch.linalg.eigh((x - centre).T @ (x - centre))[1] / scale
        x = (x - centre) @ turn
        chosen = choose_l2(x, y, self.l2) if len(self.l2) > 1 else self.l2[0]
        weight, bias = fit_logistic(x, y, chosen)
        scored = (workspace.features(model, self.on).double() - centre) @ turn
        labels = _labels(self.on, workspace)
        correct = int(((scored @ weight.T + bias).argmax(dim=1) == labels).sum())
        return {"accuracy": 100 * correct / len(labels), "l2": chosen}


def fit_logistic(
    x: Float[Tensor, "n d"], y: Int64[Tensor, " n"], l2: float, start: Float[Tensor, "c e"] | None = None, tolerance: float = 1e-7
) -> tuple[Float[Tensor, "c d"], Float[Tensor, " c"]]:
    """Weight and bias that minimise mean cross-entropy + l2/2 |weight|^2, to a scaled gradient of `tolerance` or 2000 iterations.

    `start` is (weight, bias) side by side, [C, d + 1]; None starts at 0.
    """
    energy = torch.cat([x.square().mean(dim=0) / 2 + l2, x.new_ones(1) / 2])  # at least the Hessian's diagonal (Boehning, 1992)
    unit = energy.rsqrt()
    parameters = torch.zeros(int(y.max()) + 1, len(unit), dtype=x.dtype) if start is None else start / unit
    parameters.requires_grad_(True)
    solver = torch.optim.LBFGS(
        [parameters],
        max_iter=2000,
        max_eval=4000,
        history_size=20,
        tolerance_grad=tolerance,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        solver.zero_grad()
        weight, bias = _split(parameters * unit)
        value = cross_entropy(x @ weight.T + bias, y) + l2 / 2 * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    return _split(parameters.detach() * unit)


def _split(parameters: Tensor) -> tuple[Tensor, Tensor]:
    return parameters[:, :-1], parameters[:, -1]


def choose_l2(x: Float[Tensor, "n d"], y: Int64[Tensor, " n"], grid: tuple[float, ...]) -> float:
    """The l2 of `grid` whose fit scores best on the held-out tenth; ties go to the lower loss, then to the larger l2."""
    held = held_out_tenth(y)
    best, chosen = (-1.0, -torch.inf), grid[0]
    start = None
    for l2 in sorted(grid, reverse=True):
        weight, bias = fit_logistic(x[~held], y[~held], l2, start, tolerance=1e-4)
        start = torch.cat([weight, bias[:, None]], dim=1)
        logits = x[held] @ weight.T + bias
        score = ((logits.argmax(dim=1) == y[held]).double().mean().item(), -cross_entropy(logits, y[held]).item())
        if score > best:
            best, chosen = score, l2
    return chosen


def held_out_tenth(y: Int64[Tensor, " n"]) -> Tensor:
    """Bool [N]: the last tenth of every class by id order, at least one sample of each."""
    held = torch.zeros(len(y), dtype=torch.bool)
    for label in y.unique():
        places = torch.nonzero(y == label)[:, 0]
        held[places[-max(1, len(places) // 10) :]] = True
    return held


def _labels(data: Dataset, workspace: Workspace) -> Tensor:
    return torch.from_numpy(np.array(workspace.images(data).labels))
