"""Progress t_w: how far a model has come on the geodesic from ignorance P_0 to the truth P* (PROTOCOL 5.2, METRICS 3).

t_w = argmin over t in [0, 1] of d_B(P_w, gamma(t)). For every sample the geodesic lies in the plane of the square roots of
P_0 and P*, which enclose th = arccos(C^-1/2). Only the model's projection on that plane matters: with a and b its products
with the two ends and phi the angle of (a, (b - a cos th) / sin th), d_B is a constant - mean log cos(t th - phi). That is
strictly convex, so Newton's method in a shrinking bracket finds t_w of all epochs at once; probabilities are read once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import acos, sin, tan
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import linear, log_softmax

from analysis.checks import (
    require_classes,
    require_classifiers,
    require_log_probs,
    require_one_class,
    require_one_class_tuned,
    require_one_stage,
    require_trained_classifiers,
)
from analysis.geometry.bhattacharyya import arc, distance_to_truth
from analysis.measure import Drawn, Measure
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.finetune import Finetune
from contrast.model import Model
from contrast.stage import Metrics, Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_STEPS, _NEAR = 100, 1e-7  # what is left after so small a step of Newton is its square
_BLOCK_BYTES = 1 << 19

NO_HEADS = "needs the classifiers of all epochs, which a linear one on features that are computed once leaves"


@dataclass(frozen=True)
class Progress(Measure):
    """Progress of a fine-tuning's epochs 0..E on its own data, or on `on` through its kept heads and one feature pass.

    Results: `t` of the last epoch, 0 (knows nothing) to 1 (truth); `bhattacharyya`, its d_B to the truth in nats;
    `length_ratio` >= 1, the trajectory's length over its end points' distance; `clipped_share` of d_B's floor.
    Arrays: `t` and `bhattacharyya` [E + 1]. Raises `UserError` when `of` keeps no log-probabilities, or no heads for `on`.
    """

    on: Dataset | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "on")
        require_one_class_tuned(self)
        assert isinstance(self.of, Stage)
        require_trained_classifiers(self, (self.of,))
        if self.on is not None:
            require_classifiers(self, (self.of,))
        heads = self.on is None or not isinstance(self.of, Finetune) or self.of.keeps_heads
        require(heads, self, "on", NO_HEADS, "Measure a Finetune(frozen=True) without views, penalty and attack, or set on=None.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`t`, `bhattacharyya`, `length_ratio` and `clipped_share`."""
        log_probs, labels = self._trajectory(model, workspace)
        require(log_probs.shape[2] >= 2, self, "of", "knows one class, so there is nothing to learn", "Use two classes or more.")
        t = progress(log_probs, labels)
        distance, clipped = distance_to_truth(log_probs, labels)
        workspace.keep_arrays(t=t.numpy(), bhattacharyya=distance.numpy())
        final = {"t": t[-1].item(), "bhattacharyya": distance[-1].item()}
        return {**final, "length_ratio": length_ratio(log_probs), "clipped_share": clipped}

    def _trajectory(self, model: Model, workspace: Workspace) -> tuple[Tensor, Tensor]:
        """Log-probabilities [E + 1, N, C] and labels [N]."""
        kept = workspace.of(model.stage).arrays()
        require("log_probs" in kept, self, "of", "must be a stage that keeps log-probabilities", "Measure a Finetune.")
        require_log_probs(self, torch.from_numpy(kept["log_probs"]))
        if self.on is None:
            return torch.from_numpy(kept["log_probs"]), torch.from_numpy(kept["labels"])
        require("head_weight" in kept, self, "on", NO_HEADS, "Measure a Finetune(frozen=True), or set on=None.")
        heads = [torch.from_numpy(kept[name]) for name in ("head_weight", "head_bias")]
        require_classes(self, heads[0].shape[1], self.on)
        features = workspace.features(model, self.on)
        epochs = [log_softmax(linear(features, weight, bias), dim=1) for weight, bias in zip(*heads, strict=True)]
        return torch.stack(epochs), torch.from_numpy(np.array(workspace.images(self.on).labels))

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """t_w by epoch, a panel per task, a line per method."""
        from analysis.figures.progress import progress as draw

        return draw(drawn)


def progress(log_probs: Float[Tensor, "t n c"], labels: Int64[Tensor, " n"]) -> Float[Tensor, " t"]:
    """t_w in [0, 1] of every model of a stack, float64, to 1e-10 in float64 and 1e-8 in float32; no floor enters it."""
    angle = acos(log_probs.shape[2] ** -0.5)
    slopes = _slopes(log_probs, labels)
    middle = slopes.mean(dim=1)
    low, high = torch.zeros(len(slopes), dtype=torch.float64), torch.ones(len(slopes), dtype=torch.float64)
    t, done = (middle.atan() / angle).clamp(0, 1), middle <= 0  # beyond the truth there is nothing, so no minimum is cut off there
    for _ in range(_STEPS):
        first, second = _derivatives(t, slopes, angle)
        low, high = torch.where(first < 0, t, low), torch.where(first >= 0, t, high)
        newton = t - first / second
        step = torch.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        moved, t = (step - t).abs(), torch.where(done, t, step)
        done |= moved < _NEAR
        if done.all():
            break
    return torch.where(middle <= 0, 0.0, torch.where(t > 1 - 1e-12, 1.0, t))


def _derivatives(t: Float[Tensor, " t"], slopes: Float[Tensor, "t n"], angle: float) -> tuple[Float[Tensor, " t"], Float[Tensor, " t"]]:
    """The first and the second derivative of d_B along the geodesic; tan(t th - phi) by the addition theorem, without a tangent."""
    sine, cosine = (t * angle).sin()[:, None], (t * angle).cos()[:, None]
    # A sample without any probability for its label has cos(th - phi) = 0 at t = 1, where rounding must not make it negative.
    beside = torch.addcmul(cosine, slopes, sine).clamp_(min=1e-15)
    tangents = torch.addcmul(sine, slopes, cosine, value=-1).div_(beside)
    squares = torch.linalg.vecdot(tangents, tangents) / tangents.shape[1]
    return angle * tangents.mean(dim=1), angle**2 * (1 + squares)


def length_ratio(log_probs: Float[Tensor, "t n c"]) -> float:
    """Length of the trajectory over the distance of its end points, at least 1; 1 for a trajectory that ends where it began."""
    length = sum(arc(before, after).item() for before, after in pairwise(log_probs))
    straight = arc(log_probs[0], log_probs[-1]).item()
    return length / straight if straight > 0 else 1.0


def _slopes(log_probs: Float[Tensor, "t n c"], labels: Int64[Tensor, " n"]) -> Float[Tensor, "t n"]:
    """tan phi, where phi is the angle at which the model's projection lies in the plane of the ends: 0 at P_0, th at P*.

    It is a ratio of sums over classes, so the length of the square roots, which rounding changes, falls out.
    """
    classes = log_probs.shape[2]
    angle = acos(classes**-0.5)
    ratio = torch.empty(log_probs.shape[:2], dtype=torch.float64)
    block = max(1, _BLOCK_BYTES // (log_probs[0].numel() * log_probs.element_size()))
    ones = torch.ones(classes, dtype=log_probs.dtype)
    for start in range(0, len(log_probs), block):
        roots = (log_probs[start : start + block] / 2).exp_()
        own = roots.gather(2, labels.expand(roots.shape[:2])[..., None])[..., 0]
        ratio[start : start + block] = own / (roots @ ones)
    return ratio.mul_(classes**0.5 / sin(angle)).sub_(1 / tan(angle))
