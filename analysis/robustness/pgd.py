"""Robust accuracy under projected gradient descent, as a monotone curve over radii (PROTOCOL 6.4, METRICS 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from analysis.checks import require_above, require_classifier, require_one_class, require_pixel_range, require_radii, require_samples
from analysis.curve import area, chance, levels
from analysis.measure import Drawn, Measure
from analysis.robustness.subject import subject
from contrast.attacks import Loss, Norm, robust, start_noise
from contrast.component import require, require_count
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class PGD(Measure):
    """Share of samples, 0 to 100, that no iterate of any restart of any radius up to eps misclassifies (the any-iterate criterion).

    The space is that of the pixels of `on`, in [0, 1] before normalisation, where examples are clipped, and the resolution is the
    one in which `on` gives its images. `eps` increases; the last radius is that of the main result. `norm` "linf" names eps in
    1/255, the change of any one number; "l2" in the length over all C * H * W of them, so that a radius is less a pixel the larger
    the image: at 256 pixels a side 4 changes them as 0.5 does at 32. PROTOCOL 7.7 has (0.5, 1.5, 2.5) in "l2" and
    (2/255, 4/255, 8/255) in "linf", with 20 steps. `steps` steps of `step_size` * eps / steps from a random start that depends on
    `seed` and the sample alone. `restarts` starts, None is one: any success counts. `loss`: "cross_entropy", which None is, or
    "margin", max_{k != y} z_k - z_y, whose gradient does not vanish where the network is sure. `samples`: a stratified subset, None
    is all. Results: `accuracy` at the last radius; `clean`, equal to the accuracy without attack; `eps_<k>` at k/255 ("linf") or k
    ("l2"); `area`, the mean of the curve over the range of radii. Arrays: `eps` and `accuracy`.
    """

    on: Dataset
    norm: Norm = "linf"
    eps: tuple[float, ...] = (0.0, 1 / 255, 2 / 255, 4 / 255, 8 / 255)
    steps: int = 10
    samples: int | None = 512
    step_size: float = 2.5
    seed: int = 0
    restarts: int | None = None
    loss: Loss | None = None

    unit: ClassVar[tuple[str, ...]] = ("norm",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require(self.norm in ("linf", "l2"), self, "norm", "must be 'linf' or 'l2'", "Use 'linf'.")
        require_radii(self)
        if self.norm == "linf":
            require_pixel_range(self, "eps", self.eps[-1])
        require(self.steps >= 1, self, "steps", "must be at least 1", "Use 10 in a sweep, 50 for a final table.")
        require_samples(self)
        require_above(self, "step_size")
        require_count(self, "restarts", 1000, "Use 5 for a final table.")
        require(self.loss in (None, "cross_entropy", "margin"), self, "loss", "must be 'cross_entropy' or 'margin'", "Use 'margin'.")
        for field, usual in (("restarts", 1), ("loss", "cross_entropy")):
            if getattr(self, field) == usual:
                object.__setattr__(self, field, None)
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy`, `clean`, `eps_<k>` and `area`."""
        net, x, y, ids = subject(self, model, self.on, self.samples, workspace)
        # Radius 0 first: whoever is misclassified there is the clean error.
        eps = torch.tensor((0.0, *self.eps), dtype=torch.float64)
        standing = robust(
            *(net, x, y, eps, partial(self._starts, ids)),
            self.norm,
            self.steps,
            self.step_size,
            self.loss or "cross_entropy",
            self.restarts or 1,
        )
        clean, *curve = (100 * standing.sum(dim=1).double() / len(x)).tolist()
        workspace.keep_arrays(eps=np.array(self.eps), accuracy=np.array(curve))
        per_level = 255.0 if self.norm == "linf" else 1.0
        return {"accuracy": curve[-1], "clean": clean, **levels(self.eps, curve, per_level), "area": area(self.eps, curve)}

    def _starts(self, ids: np.ndarray, rows: Tensor, restart: int) -> Tensor:
        return start_noise(ids[rows.cpu().numpy()], self.on.shape, self.norm, self.seed, restart).to(rows.device)

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Accuracy against the radius, a panel per task, a line per method."""
        from analysis.figures.robustness import robustness

        guessing = chance(one.measure.on for one in drawn if isinstance(one.measure, cls))
        if any(isinstance(one.measure, cls) and one.measure.norm == "l2" for one in drawn):
            return robustness(drawn, guessing, scale=1, radius="radius ε (L2)")
        return robustness(drawn, guessing)
