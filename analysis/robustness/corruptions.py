"""Error and calibration of a classifier on corrupted images (METRICS 5, PROTOCOL 9: `s4.corruption`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from analysis.calibration import ece
from analysis.checks import require_classes, require_classifier, require_logits, require_one_class, require_samples
from analysis.corruptions import PROCEDURAL, SEVERITIES, STANDARD, Name, Table, corrupt
from analysis.folding import fold
from analysis.measure import Drawn, Measure, Parts
from analysis.subset import stratified
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_NUMBERS = 1 << 21  # of a batch of images, so that those of 224 pixels a side, in float64 and several times, do not fill the memory


@dataclass(frozen=True)
class Corruptions(Measure):
    """Top-1 error (percent) and expected calibration error (0 to 1, 15 bins) of `on` under corruptions, each at several severities.

    `table`: how strong a severity is; that of "cifar" is for images of about 32 pixels a side, "imagenet" for 224. `corruptions`:
    the 15 standard ones; `analysis.corruptions.EXTRA` has four more. The images are corrupted alike for every network and seed.
    `samples`: a stratified subset, None is all. A class without images counts for nothing.
    Results: `error`, the mean corruption error: over severities, then over the corruptions that are those of the published sets;
    `relative`, how far it lies above `clean`, the error without corruption; `all`, the mean with snow, frost and spatter, which are
    drawn otherwise here (`analysis.corruptions.PROCEDURAL`). `accuracy_<s>` and `ece_<s>` at severity s, 0 for clean, over the
    corruptions of `error`; `error_<corruption>`, each over the severities. None is divided by a baseline's: `MCE` does that.
    Arrays: `error` and `ece` [corruptions, severities], `corruption` and `published` [corruptions], `severities`, `clean` (error, ECE).
    """

    on: Dataset
    table: Table = "cifar"
    severities: tuple[int, ...] = SEVERITIES
    corruptions: tuple[Name, ...] = STANDARD
    samples: int | None = 1000

    alone: ClassVar[bool] = True
    unit: ClassVar[tuple[str, ...]] = ("table", "severities", "corruptions")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        inside = len(self.severities) > 0 and set(self.severities) <= set(SEVERITIES)
        require(inside, self, "severities", "must be integers from 1 to 5, at least one", "Use (1, 3, 5) for a quick look.")
        increasing = list(self.severities) == sorted(set(self.severities))
        require(increasing, self, "severities", "must increase, each severity once", "Sort them.")
        once = len(set(self.corruptions)) == len(self.corruptions)
        require(once, self, "corruptions", "must name each corruption once", "Leave the second out.")
        published = not PROCEDURAL.issuperset(self.corruptions)
        rule = f"must name a corruption besides {', '.join(sorted(PROCEDURAL))}, of which no mean is taken"
        require(published, self, "corruptions", rule, "Use the 15 of STANDARD.")
        require(self.on.shape[0] in (1, 3), self, "on", f"has images of {self.on.shape[0]} channels, not 1 or 3", "Measure Accuracy.")
        require_samples(self)

    @property
    def length(self) -> int:
        """A part is a corruption at all severities."""
        return len(self.corruptions)

    def measure(self, model: Model, workspace: Workspace) -> Parts:
        """`error`, `clean`, `relative`, `all`, and by severity and corruption; raises `UserError` when outputs are no logits."""
        chosen = stratified(workspace.images(self.on).labels, self.samples)
        pixels, _ = workspace.pixels(self.on, chosen[:2])
        net = fold(model.net, pixels)[0].to(memory_format=torch.channels_last)
        require_classes(self, net(pixels).shape[1], self.on)
        part, state = workspace.restore()
        if part == 0:
            blank = torch.full((2, self.length, len(self.severities)), torch.nan, dtype=torch.float64)
            state = {"scores": blank, "clean": self._scores(net, workspace, chosen, STANDARD[0], 0)}
        for place in range(part, self.length):
            found = [self._scores(net, workspace, chosen, self.corruptions[place], severity) for severity in self.severities]
            state["scores"][:, place] = torch.stack(found, 1)
            workspace.save(place + 1, {}, state)
            yield {}
        error, calibration = state["scores"].numpy()
        published = np.array([name not in PROCEDURAL for name in self.corruptions])
        names, severities = np.array(self.corruptions), np.array(self.severities)
        clean = state["clean"].numpy()
        workspace.keep_arrays(error=error, ece=calibration, corruption=names, published=published, severities=severities, clean=clean)
        return self._results(error, calibration, published, clean.tolist())

    def _scores(self, net: nn.Module, workspace: Workspace, rows: np.ndarray, corruption: Name, severity: int) -> Float64[Tensor, " two"]:
        """Error (percent) and ECE of the images in `rows`."""
        ids, found, classes = np.asarray(workspace.images(self.on).ids), [], []
        size = max(8, min(256, _NUMBERS // prod(self.on.shape)))
        for some in np.split(rows, range(size, len(rows), size)):
            pixels, labels = workspace.pixels(self.on, some)
            x = corrupt(pixels, corruption, severity, ids[some], self.table)
            with torch.inference_mode():
                found.append(net(x.contiguous(memory_format=torch.channels_last)).double().cpu())
            classes.append(labels.cpu())
        outputs, truth = torch.cat(found), torch.cat(classes)
        require_logits(self, outputs)
        wrong = int((outputs.argmax(dim=1) != truth).sum())
        return torch.tensor([100 * wrong / len(truth), ece(outputs, truth)], dtype=torch.float64)

    def _results(self, error: np.ndarray, calibration: np.ndarray, published: np.ndarray, clean: list[float]) -> Metrics:
        by_corruption = error.mean(axis=1)
        mean = float(by_corruption[published].mean())
        results = {"error": mean, "clean": clean[0], "relative": mean - clean[0], "all": float(by_corruption.mean())}
        severities = (0, *self.severities)
        accuracy = [100 - clean[0], *(100 - error[published].mean(axis=0)).tolist()]
        results |= {f"accuracy_{severity}": value for severity, value in zip(severities, accuracy, strict=True)}
        sure = [clean[1], *calibration[published].mean(axis=0).tolist()]
        results |= {f"ece_{severity}": value for severity, value in zip(severities, sure, strict=True)}
        return results | {f"error_{name}": value for name, value in zip(self.corruptions, by_corruption.tolist(), strict=True)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Accuracy and calibration against the severity, and the error of every method under every corruption."""
        from analysis.figures.corruptions import corruptions

        return corruptions(drawn)
