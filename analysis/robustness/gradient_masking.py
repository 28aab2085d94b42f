"""Whether a robust accuracy can be believed: checks that an attack misled by the network's gradients fails (METRICS 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from analysis.checks import require_above, require_classifier, require_one_class, require_pixel_range, require_samples
from analysis.measure import Drawn, Measure, Parts
from analysis.robustness.parts import PARTS, in_parts
from analysis.robustness.square import square
from analysis.robustness.subject import Subject, subject
from contrast.attacks import fgsm, pgd, start_noise
from contrast.attacks.pgd import correct
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model, Net
from contrast.stage import Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_MORE, _POINT = 4, 1.0
_HUGE = 1.0


@dataclass(frozen=True)
class GradientMasking(Measure):
    """Six checks of PGD in l_inf at `eps` with `steps` steps; each result is 1 where it is passed and 0 where not.

    `zero_is_clean`: at eps 0 the accuracy is that without attack (to one sample, since the attacked network is folded);
    `huge_below_chance`: at eps 1 it is below guessing; `fgsm_not_stronger`, `square_not_stronger`, `noise_not_stronger` than PGD, where
    Square asks for `queries` outputs and noise is uniform in the ball; `steps_enough`: four times the steps gain at most 1 point or sample.
    Results: `suspect`, 1 where any is failed; the checks; `accuracy_<attack>` in percent of clean, zero, noise, square, fgsm, pgd, more
    (steps) and huge. `samples`: a stratified subset, None is all.
    Arrays: each of these by its name, whether a sample stands [N].
    """

    on: Dataset
    eps: float = 8 / 255
    steps: int = 10
    queries: int = 500
    samples: int | None = 256
    seed: int = 0

    version: ClassVar[int] = 2
    alone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require_above(self, "eps")
        require_pixel_range(self, "eps", self.eps)
        for field in ("steps", "queries"):
            require(getattr(self, field) >= 1, self, field, "must be at least 1", "10 steps and 500 queries are usual.")
        require_samples(self)
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    @property
    def length(self) -> int:
        """A part is an eighth of the samples."""
        return PARTS

    def measure(self, model: Model, workspace: Workspace) -> Parts:
        """`suspect`, the six checks, and `accuracy_<attack>`."""
        attacked = subject(self, model, self.on, self.samples, workspace)
        standing = yield from in_parts(workspace, len(attacked.x), lambda rows: self._standing(model.net, attacked, rows))
        workspace.keep_arrays(**{name: stands.numpy() for name, stands in standing.items()})
        percent = {name: 100 * float(stands.double().mean()) for name, stands in standing.items()}
        passed = checks(percent, len(attacked.x), self.on.num_classes)
        accuracies = {f"accuracy_{name}": value for name, value in percent.items()}
        return {"suspect": float(not all(passed.values())), **{name: float(ok) for name, ok in passed.items()}, **accuracies}

    def _standing(self, unfolded: Net, attacked: Subject, rows: Tensor) -> dict[str, Tensor]:
        """Of every attack, which samples it leaves right."""
        net, x, y = attacked.net, attacked.x[rows.to(attacked.x.device)], attacked.y[rows.to(attacked.y.device)]
        ids = attacked.ids[rows.numpy()]
        unit, other = (start_noise(ids, self.on.shape, "linf", self.seed, restart).to(x) for restart in (0, 1))

        def stands(eps: float, steps: int) -> Tensor:
            return ~pgd(net, x, y, torch.full((len(x),), eps).to(x), eps * unit, "linf", steps).broken

        clean = correct(unfolded, x, y)
        (examples,) = fgsm(net, x, y, torch.tensor([self.eps]))
        return {
            "clean": clean,
            "zero": stands(0.0, self.steps),
            "noise": clean & correct(net, (x + self.eps * other).clamp(0, 1), y),
            "square": ~square(net, x, y, self.eps, ids, self.queries, self.seed),
            "fgsm": clean & correct(net, examples, y),
            "pgd": stands(self.eps, self.steps),
            "more": stands(self.eps, _MORE * self.steps),
            "huge": stands(_HUGE, self.steps),
        }

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """The accuracy that each attack leaves, a row each, a mark per method; failed checks are named."""
        from analysis.figures.gradient_masking import gradient_masking

        return gradient_masking(drawn)


def checks(percent: dict[str, float], samples: int, classes: int) -> dict[str, bool]:
    """Which checks are passed by accuracies in percent of so many samples."""
    one = 100 / samples + 1e-9
    return {
        "zero_is_clean": abs(percent["zero"] - percent["clean"]) <= one,
        "huge_below_chance": percent["huge"] < 100 / classes,
        "fgsm_not_stronger": percent["fgsm"] >= percent["pgd"],
        "steps_enough": percent["pgd"] - percent["more"] <= max(_POINT, one),
        "square_not_stronger": percent["square"] >= percent["pgd"],
        "noise_not_stronger": percent["noise"] >= percent["pgd"],
    }
