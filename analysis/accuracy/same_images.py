"""Two classifiers on the same images: how far their accuracies differ, and whether more images of the kind would say so too."""

from dataclasses import dataclass

from analysis.accuracy.logits import labels, logits
from analysis.checks import require_classifiers, require_one_class
from analysis.measure import Measure
from analysis.statistics import on_images
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.segment import Segment
from contrast.stage import Metrics, Workspace


@dataclass(frozen=True)
class SameImages(Measure):
    """Accuracy on `on` of the first of two classifiers less that of the second, -100 to 100, and what its images say of it.

    Results: `difference`; `low` and `high`, its 95 % interval over images; `p` of McNemar's exact test; `only_first` and
    `only_second`, images that one alone has right. This is of two networks, not of two methods: those differ by their seeds too.
    """

    on: Dataset

    def __post_init__(self) -> None:
        super().__post_init__()
        two = isinstance(self.of, tuple) and len(self.of) == 2
        require(two, self, "of", "must be two stages", "Pass (Finetune(...), Finetune(...)).")
        pixels = any(isinstance(stage, Segment) for stage in self.of) if isinstance(self.of, tuple) else False
        require(not pixels, self, "of", "must give a class for an image, not for pixels", "Compare fine-tunings.")
        require_one_class(self, "on")
        require_classifiers(self, self.of if isinstance(self.of, tuple) else (self.of,))

    def measure(self, model: tuple[Model, Model], workspace: Workspace) -> Metrics:
        """`difference` and what speaks for it; raises `UserError` when a network's outputs are not logits, one a class."""
        truth = labels(self.on, workspace)
        first, second = ((logits(self, one, self.on, workspace).argmax(dim=1) == truth).numpy() for one in model)
        found = on_images(first, second)
        return {
            "difference": 100 * found.difference,
            "low": 100 * found.low,
            "high": 100 * found.high,
            "p": found.p,
            "only_first": float(found.only_first),
            "only_second": float(found.only_second),
        }
