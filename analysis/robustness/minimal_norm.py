"""How far the nearest misclassified image is, sample by sample: every curve of errors against radii at once (PROTOCOL 6.5, 6.6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from analysis.checks import require_classifier, require_one_class, require_pixel_range, require_radii, require_samples
from analysis.measure import Drawn, Measure, Parts
from analysis.robustness.barrier import Nearest, misclassified, prox_log_barrier
from analysis.robustness.bisection import bisected
from analysis.robustness.parts import PARTS, in_parts
from analysis.robustness.proximal import AnyNorm
from analysis.robustness.subject import Subject, subject
from contrast.attacks import start_noise
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

LEVELS = {"l0": 1.0, "l1": 1.0, "l2": 1.0, "linf": 255.0}


@dataclass(frozen=True)
class MinimalNorm(Measure):
    """The least change of every sample's pixels, in [0, 1], with which it is misclassified, as `attack` finds it: an upper bound.

    `norm`: "l2", "linf", "l1" (sums over all C * H * W numbers) or "l0", how many of them change. `attack`: "plb" is
    ProxLogBarrier, for all norms, "pgd" bisects the radius of 20 steps of PGD in seven, up to the last of `eps`, for "l2" and "linf".
    A sample misclassified as it is has distance 0, one for which nothing is found inf. `eps`, radii that increase, are where the
    share of the misclassified is told; the default is for "l2". `samples`: a stratified subset, None is all.
    Results: `median` distance over all samples, under "pgd" the last of `eps` where half of them stand there; `median_relative`, over
    those that are right without attack; `clean`, the percentage
    that is misclassified without attack; `misclassified_<k>` (percent) at k of `eps` ("linf": k/255); `auc`, the mean of that over
    radii from 0 to the last of `eps`, and `auc_relative`, over those right without attack; `failed`, the percentage with distance inf.
    Means over no sample are NaN. Arrays: `distances` [N] and `eps`.
    """

    on: Dataset
    norm: AnyNorm = "l2"
    attack: Literal["plb", "pgd"] = "plb"
    eps: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    samples: int | None = 256
    seed: int = 0

    version: ClassVar[int] = 2
    alone: ClassVar[bool] = True
    unit: ClassVar[tuple[str, ...]] = ("norm",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require(self.norm in LEVELS, self, "norm", "must be 'l0', 'l1', 'l2' or 'linf'", "Use 'l2'.")
        require(self.attack in ("plb", "pgd"), self, "attack", "must be 'plb' or 'pgd'", "Use 'plb'.")
        known = self.attack == "plb" or self.norm in ("l2", "linf")
        require(known, self, "attack", f"knows no ball of {self.norm}", "Use 'plb', or the norm 'l2' or 'linf'.")
        require_radii(self)
        if self.norm == "linf":
            require_pixel_range(self, "eps", self.eps[-1])
        require(self.eps[-1] > 0, self, "eps", "must end above 0", "Name the largest radius of the curve.")
        require_samples(self)
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    @property
    def length(self) -> int:
        """A part is an eighth of the samples."""
        return PARTS

    def measure(self, model: Model, workspace: Workspace) -> Parts:
        """`median`, `median_relative`, `clean`, `misclassified_<k>`, `auc`, `auc_relative` and `failed`."""
        attacked = subject(self, model, self.on, self.samples, workspace)
        found = yield from in_parts(
            workspace, len(attacked.x), lambda rows: {"distances": self._nearest(attacked, rows).distances.double()}
        )
        distances = found["distances"].numpy()
        workspace.keep_arrays(distances=distances, eps=np.array(self.eps))
        return self._results(distances)

    def _nearest(self, attacked: Subject, rows: Tensor) -> Nearest:
        net, pool, labels, every = attacked
        x, y, ids = pool[rows.to(pool.device)], labels[rows.to(pool.device)], every[rows.numpy()]
        if self.attack == "plb":
            return prox_log_barrier(net, x, y, misclassified(net, x, y, ids, pool, self.seed), self.norm)
        assert self.norm in ("l2", "linf")
        return bisected(net, x, y, start_noise(ids, self.on.shape, self.norm, self.seed).to(x), self.norm, self.eps[-1])

    def _results(self, distances: Float[np.ndarray, " n"]) -> Metrics:
        last = self.eps[-1]
        reached = np.minimum(distances, last) if self.attack == "pgd" else distances
        right = reached[distances > 0]
        found = {"median": float(np.median(reached)), "median_relative": float(np.median(right)) if len(right) else np.nan}
        found["clean"] = 100 * float((distances == 0).mean())
        for radius in self.eps:
            found[f"misclassified_{radius * LEVELS[self.norm]:g}"] = 100 * float((distances <= radius).mean())
        for name, some in (("auc", distances), ("auc_relative", right)):
            found[name] = 100 * float((1 - np.minimum(some / last, 1)).mean()) if len(some) else np.nan
        return found | {"failed": 100 * float(np.isinf(distances).mean())}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Percentage misclassified against the norm, of all samples and of those right without attack."""
        from analysis.figures.minimal_norm import minimal_norm

        return minimal_norm(drawn)
