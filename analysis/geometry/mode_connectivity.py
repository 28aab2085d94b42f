"""Linear mode connectivity: whether networks lie in one basin, by the loss on the segments between them (METRICS 1).

Between two networks the variance of activations shrinks, so running statistics that are interpolated with the weights make
barriers that the weights do not have. They are taken anew at every point; what it is without that is reported beside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from analysis.checks import (
    require_classes,
    require_classifiers,
    require_logits,
    require_one_class,
    require_one_class_tuned,
    require_samples,
)
from analysis.geometry.segment import Segment, barrier, loss_and_accuracy
from analysis.measure import Drawn, Measure, Parts
from analysis.subset import stratified
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.segment import Segment as Segmentation
from contrast.stage import Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_BATCH = 256


@dataclass(frozen=True)
class ModeConnectivity(Measure):
    """Barrier of the cross-entropy of `on` on the segments between every two of the networks in `of`, all of one architecture.

    `points` (3 or more, 11 to 25 are usual) from one network to the other. `samples`: a stratified subset, None is all.
    `norms_from`: the images whose statistics batch normalisations take at every point, a stratified subset of `norm_samples` (2 or
    more); None: those of `on`. Results, means over the pairs: `barrier` in nats, max over a of L(a) - ((1 - a) L(0) + a L(1)), 0
    where the line between the ends is nowhere exceeded; `accuracy_barrier` in points of per cent, the same of the error;
    `barrier_raw` and `accuracy_barrier_raw` with running statistics that are interpolated as weights are. A barrier is infinite
    where outputs between are not finite; those of a network itself, or probabilities, raise `UserError`. Arrays: `alphas` [A];
    `loss`, `accuracy`, `loss_raw` and `accuracy_raw` [pairs, A]; `first` and `second` [pairs], indices into `of`.
    """

    on: Dataset
    points: int = 11
    samples: int | None = None
    norms_from: Dataset | None = None
    norm_samples: int = 512

    alone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        several = isinstance(self.of, tuple) and len(set(self.of)) == len(self.of) >= 2
        require(several, self, "of", "must be a tuple of two stages or more, each once", "Pass of=(one, another).")
        whole = not any(isinstance(stage, Segmentation) for stage in self._stages)
        require(whole, self, "of", "gives a class for every pixel and none for an image", "Measure classifiers of images.")
        require_one_class(self, "on")
        require_one_class_tuned(self)
        require_classifiers(self, self._stages)
        require(self.points >= 3, self, "points", "must be at least 3", "Use 11.")
        require_samples(self)
        require(self.norm_samples >= 2, self, "norm_samples", "must be at least 2", "Use 512.")

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return self.of if isinstance(self.of, tuple) else (self.of,)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        return list(combinations(range(len(self._stages)), 2))

    @property
    def length(self) -> int:
        """Parts: a pair each."""
        return len(self._pairs)

    def measure(self, model: tuple[Model, ...], workspace: Workspace) -> Parts:
        """`barrier`, `accuracy_barrier`, `barrier_raw` and `accuracy_barrier_raw`."""
        self._require_one_architecture(model)
        pixels, labels = workspace.pixels(self.on, stratified(workspace.images(self.on).labels, self.samples))
        source = self.norms_from or self.on
        norm_pixels, _ = workspace.pixels(source, stratified(workspace.images(source).labels, self.norm_samples))
        require(len(norm_pixels) >= 2, self, "norms_from", "has fewer than 2 images", "Use more images.")
        for one in model:
            outputs = torch.cat([one.net(part) for part in pixels.split(_BATCH)])
            require_classes(self, outputs.shape[1], self.on)
            require_logits(self, outputs)
        alphas = np.arange(self.points) / (self.points - 1)
        done, state = workspace.restore()
        found = state.get("found", torch.zeros(len(self._pairs), 4, self.points, dtype=torch.float64))
        for part, (i, j) in enumerate(self._pairs[done:], done + 1):
            segment = Segment(model[i].net, model[j].net)
            for k, a in enumerate(alphas.tolist()):
                found[part - 1, :, k] = torch.tensor(_along(segment, a, pixels, labels, norm_pixels), dtype=torch.float64)
            workspace.save(part, {}, {"found": found})
            yield {}
        loss, accuracy, loss_raw, accuracy_raw = found.numpy().transpose(1, 0, 2)
        first, second = np.array(self._pairs).T
        curves = {"loss": loss, "accuracy": accuracy, "loss_raw": loss_raw, "accuracy_raw": accuracy_raw}
        workspace.keep_arrays(alphas=alphas, first=first, second=second, **curves)
        barriers = {"barrier": loss, "accuracy_barrier": -accuracy, "barrier_raw": loss_raw, "accuracy_barrier_raw": -accuracy_raw}
        return {name: float(barrier(values, alphas).mean()) for name, values in barriers.items()}

    def _require_one_architecture(self, models: tuple[Model, ...]) -> None:
        kinds = [[*((name, weight.shape) for name, weight in one.net.state_dict().items()), one.net.constants] for one in models]
        equal = all(kind == kinds[0] for kind in kinds)
        rule = "must be networks of one architecture and normalisation of pixels, whose weights can be averaged"
        require(equal, self, "of", rule, "Compare seeds of one recipe, or fine-tunings of one encoder on one task.")

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Loss on the segments, a panel per measure, a line per pair."""
        from analysis.figures.mode_connectivity import mode_connectivity as draw

        return draw(drawn)


def _along(segment: Segment, a: float, pixels: Tensor, labels: Tensor, norm_pixels: Tensor) -> list[float]:
    """Loss and accuracy at `a` with statistics taken anew, and with those interpolated."""
    raw = loss_and_accuracy(segment.at(a), pixels, labels)
    anew = loss_and_accuracy(segment.renormalised(norm_pixels), pixels, labels) if segment.normalised else raw
    return [*anew, *raw]
