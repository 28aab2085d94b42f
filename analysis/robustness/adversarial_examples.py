"""Images as PGD changes them, to be looked at (METRICS 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from analysis.checks import require_above, require_classifier, require_one_class, require_pixel_range
from analysis.measure import Drawn, Measure
from analysis.robustness.subject import subject
from contrast.attacks import Norm, pgd, start_noise
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class AdversarialExamples(Measure):
    """What PGD of `steps` steps in the ball of radius `eps` makes of `samples` images, a stratified subset, up to the first error.

    Result: `fooled`, the percentage of them that is misclassified. Arrays: `pixels` uint8 [N, C, H, W]; `change` float32, the same
    shape, in units of the pixel range, 0 for an image that is misclassified as it is; `broken` [N].
    """

    on: Dataset
    norm: Norm = "linf"
    eps: float = 8 / 255
    steps: int = 20
    samples: int = 4
    seed: int = 0

    unit: ClassVar[tuple[str, ...]] = ("norm",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require(self.norm in ("linf", "l2"), self, "norm", "must be 'linf' or 'l2'", "Use 'linf'.")
        require_above(self, "eps")
        if self.norm == "linf":
            require_pixel_range(self, "eps", self.eps)
        require(self.steps >= 1, self, "steps", "must be at least 1", "Use 20.")
        require(1 <= self.samples <= 64, self, "samples", "must be an integer from 1 to 64, as images are kept", "Use 4.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`fooled`."""
        net, x, y, ids = subject(self, model, self.on, self.samples, workspace)
        start = self.eps * start_noise(ids, self.on.shape, self.norm, self.seed).to(x)
        with torch.no_grad():
            start[net(x).argmax(dim=1) != y] = 0
        attacked = pgd(net, x, y, torch.full((len(x),), self.eps).to(x), start, self.norm, self.steps)
        change = (attacked.examples - x).cpu().contiguous().numpy()
        pixels = (255 * x).round().byte().cpu().contiguous().numpy()
        workspace.keep_arrays(pixels=pixels, change=change.astype(np.float32), broken=attacked.broken.cpu().numpy())
        return {"fooled": 100 * float(attacked.broken.double().mean())}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Images, and twenty times the change of each, a column per method."""
        from analysis.figures.adversarial_examples import adversarial_examples

        return adversarial_examples(drawn)
