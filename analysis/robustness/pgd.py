"""Robust accuracy under projected gradient descent, as a monotone curve over radii (PROTOCOL 6.4, METRICS 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from analysis.checks import require_above, require_classes, require_classifier, require_one_class, require_radii, require_samples
from analysis.folding import fold
from analysis.measure import Drawn, Measure
from analysis.robustness.curve import area, chance, levels
from analysis.subset import stratified
from contrast.attacks import robust, start_noise
from contrast.attacks.ball import Norm
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class PGD(Measure):
    """Share of samples, 0 to 100, that no iterate of any radius up to eps misclassifies.

    The space is that of the pixels of `on`, in [0, 1] before normalisation, where examples are clipped, and the resolution is the
    one in which `on` gives its images. `eps` increases; the last radius is that of the main result. `norm` "linf" names eps in
    1/255, the change of any one number; "l2" in the length over all C * H * W of them, so that a radius is less a pixel the larger
    the image: at 256 pixels a side 4 changes them as 0.5 does at 32. PROTOCOL 7.7 has (0.5, 1.5, 2.5) in "l2" and
    (2/255, 4/255, 8/255) in "linf", with 20 steps. `steps` steps of `step_size` * eps / steps from a random start that depends on
    `seed` and the sample alone. `samples`: a stratified subset, None is all. Results: `accuracy` at the last radius; `clean`, equal
    to the accuracy without attack; `eps_<k>` at k/255 ("linf") or k ("l2"); `area`, the mean of the curve over the range of radii.
    Arrays: `eps` and `accuracy`.
    """

    on: Dataset
    norm: Norm = "linf"
    eps: tuple[float, ...] = (0.0, 1 / 255, 2 / 255, 4 / 255, 8 / 255)
    steps: int = 10
    samples: int | None = 512
    step_size: float = 2.5
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_classifier(self)
        require_one_class(self, "on")
        require(self.norm in ("linf", "l2"), self, "norm", "must be 'linf' or 'l2'", "Use 'linf'.")
        require_radii(self)
        require(self.steps >= 1, self, "steps", "must be at least 1", "Use 10 in a sweep, 50 for a final table.")
        require_samples(self)
        require_above(self, "step_size")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy`, `clean`, `eps_<k>` and `area`."""
        images = workspace.images(self.on)
        chosen = stratified(images.labels, self.samples)
        start = start_noise(np.asarray(images.ids)[chosen], self.on.shape, self.norm, self.seed)
        pixels, y = workspace.pixels(self.on, chosen)
        x = pixels.contiguous(memory_format=torch.channels_last)
        net, _ = fold(model.net, x[:2])
        require_classes(self, net(x[:1]).shape[1], self.on)
        # Radius 0 first: whoever is misclassified there is the clean error.
        eps = torch.tensor((0.0, *self.eps), dtype=torch.float64)
        standing = robust(net, x, y, eps, start.to(x), self.norm, self.steps, self.step_size)
        clean, *curve = (100 * standing.sum(dim=1).double() / len(x)).tolist()
        workspace.keep_arrays(eps=np.array(self.eps), accuracy=np.array(curve))
        per_level = 255.0 if self.norm == "linf" else 1.0
        return {"accuracy": curve[-1], "clean": clean, **levels(self.eps, curve, per_level), "area": area(self.eps, curve)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Accuracy against the radius, a panel per task, a line per method."""
        from analysis.figures.robustness import robustness

        guessing = chance(one.measure.on for one in drawn if isinstance(one.measure, cls))
        if any(isinstance(one.measure, cls) and one.measure.norm == "l2" for one in drawn):
            return robustness(drawn, guessing, scale=1, radius="radius ε (L2)")
        return robustness(drawn, guessing)
