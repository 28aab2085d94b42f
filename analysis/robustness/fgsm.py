"""Accuracy under the fast gradient sign method, at many radii for one gradient (PROTOCOL 5.6, METRICS 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from analysis.checks import require_classifier, require_one_class, require_pixel_range, require_radii, require_samples
from analysis.curve import area, chance, levels
from analysis.measure import Drawn, Measure
from analysis.robustness.subject import subject
from contrast.attacks import fgsm_curve
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class FGSM(Measure):
    """Top-1 accuracy, 0 to 100, after x + eps sign(gradient), for every radius of `eps` (increasing, 8/255 = 8 levels).

    In pixels a sample that is wrong without attack or at a smaller radius is wrong at the larger, whose ball holds its example: the
    curve falls. After normalisation each radius counts alone, as the older protocol has it.

    `space`: eps counts in pixels in [0, 1], or, as the older protocol has it, after normalisation. `clamp`: examples are
    clipped to [0, 1]. `samples`: a stratified subset, None is all. `at`, one of `eps`, is the radius of the main result.
    Results: `accuracy` at that radius, `eps_<k>` at k/255, `area`, the mean of the accuracy over the range of radii.
    Arrays: `eps`, `accuracy`, `alone`, the accuracy after the example of that radius alone, and its `loss` (mean cross-entropy, nats).
    """

    version: ClassVar[int] = 2

    on: Dataset
    eps: tuple[float, ...] = tuple(level / 255 for level in range(16))
    at: float = 8 / 255
    space: Literal["pixel", "normalized"] = "pixel"
    clamp: bool = True
    samples: int | None = 512

    unit: ClassVar[tuple[str, ...]] = ("space",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require_radii(self)
        require(self.at in self.eps, self, "at", "must be one of eps", "Name the radius of the main result as eps writes it.")
        require(self.space in ("pixel", "normalized"), self, "space", "must be 'pixel' or 'normalized'", "Use 'pixel'.")
        if self.space == "pixel":
            require_pixel_range(self, "eps", self.eps[-1])
        require_samples(self)

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`accuracy`, `eps_<k>` and `area`."""
        net, x, y, _ = subject(self, model, self.on, self.samples, workspace)
        scale = model.net.std if self.space == "normalized" else 1.0
        eps = torch.tensor(self.eps, dtype=torch.float64)
        right, loss = fgsm_curve(net, x, y, eps, (0.0, 1.0) if self.clamp else None, scale)
        alone, envelope = (100 * each[1:].sum(dim=1).double() / len(x) for each in (right, right.cummin(dim=0).values))
        accuracy = envelope if self.space == "pixel" else alone
        workspace.keep_arrays(eps=eps.numpy(), accuracy=accuracy.numpy(), alone=alone.numpy(), loss=loss.numpy())
        curve = accuracy.tolist()
        main = curve[self.eps.index(self.at)]
        return {"accuracy": main, **levels(self.eps, curve, 255.0), "area": area(self.eps, curve)}

    @classmethod
    def in_normalized_space(cls, of: Stage, on: Dataset) -> "FGSM":
        """As "To contrast or not to contrast" was published: eps of 0 to 15 / 255 after normalisation, unclipped, on all samples of `on`.

        There `on` is the data that the classifier was tuned on. With deviations of about 0.27 these radii are 0 to 4 / 255 in pixels.
        """
        return cls(of, on, space="normalized", clamp=False, samples=None)

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Accuracy against the radius, a panel per task, a line per method."""
        from analysis.figures.robustness import robustness

        guessing = chance(one.measure.on for one in drawn if isinstance(one.measure, cls))
        if any(isinstance(one.measure, cls) and one.measure.space == "normalized" for one in drawn):
            return robustness(drawn, guessing, radius="ε (1/255, normalised)")
        return robustness(drawn, guessing)
