"""What a representation knows of how an image was changed, before and behind the head that it was trained under (PROTOCOL 4.4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from analysis.checks import require_apart, require_finite_features, require_image_network
from analysis.measure import Drawn, Measure
from analysis.representation.changes import Change, chance, changed, classes, drawn
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import LayerwiseNet, Model, Net
from contrast.probe import HALF_DECADES, Probe, fit_probe, require_every_class, require_images, require_strengths
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_BATCH, _NUMBERS = 256, 1 << 22  # images at a time, and numbers of pixels


@dataclass(frozen=True)
class TransformProbe(Measure):
    """Percent of `on` of which a linear probe, fitted on `data`, tells how they were changed: from the encoder's h, and from g(h).

    `change` is "rotation" by 0, 90, 180 or 270 degrees, "color" (one in five images is made grey), "noise" (every other one has
    Gaussian noise of 0.1 of the pixel range), "sobel" (every other one is a picture of its edges). How an image is changed follows from
    (`seed`, id) alone, so all encoders are asked the same; labels of the data are not read. g is the head that stands on the encoder:
    the projection of a contrastive pretraining, the classifier of others; without one g(h) is h. An encoder that was trained on views
    with that change has a reason to forget it. The probe is that of `LinearProbe`; published numbers are of a probe with a hidden layer.

    Results: `h`, `z` (that is g(h)), `chance`, the accuracy of whoever does not see the image, and `unconverged` fits. A constant
    feature knows nothing, and is at the share of the class most frequent in `data`.
    """

    data: Dataset
    on: Dataset
    change: Change = "rotation"
    l2: tuple[float, ...] = HALF_DECADES
    seed: int = 0
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_image_network(self)
        require_strengths(self, self.l2)
        require_apart(self)
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")
        for data in (self.data, self.on):
            channels, height, width = data.shape
            colour = self.change != "color" or channels == 3
            require(colour, self, "change", f"must be of images with colour, and these have {channels} channels", "Ask for rotation.")
            square = self.change != "rotation" or height == width
            require(square, self, "change", f"must be of square images, and these have {height} x {width} pixels", "Ask for noise.")
            grey = self.change != "sobel" or channels in (1, 3)
            require(grey, self, "change", f"must be of images with 1 or 3 channels, not {channels}", "Ask for rotation.")

    def check(self, size: Callable[[Dataset], int]) -> None:
        """There must be images to fit and to choose by, with the encoder's channels."""
        super().check(size)
        require_images(self, size(self.data), classes(self.change), len(self.l2))

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`h`, `z`, `chance` and `unconverged`."""
        y = self._labels(self.data, workspace)
        self.check(lambda data: len(y))
        require_every_class(self, y, classes(self.change))
        truth = self._labels(self.on, workspace)
        net = model.net.to(workspace.device)
        fitted, shown = (self._outputs(net, data, workspace) for data in (self.data, self.on))
        require_finite_features(self, *fitted, *shown)
        probes = [fit_probe(x, y, self.l2) for x in fitted]
        h, z = (_accuracy(probe, x, truth) for probe, x in zip(probes, shown, strict=True))
        return {"h": h, "z": z, "chance": chance(self.change), "unconverged": float(sum(probe.unconverged for probe in probes))}

    def _labels(self, data: Dataset, workspace: Workspace) -> Int64[Tensor, " n"]:
        return drawn(self.change, np.asarray(workspace.images(data).ids), self.seed)

    def _outputs(self, net: Net, data: Dataset, workspace: Workspace) -> tuple[Tensor, Tensor]:
        """h and g(h), float32 on the CPU, of the changed images of `data`."""
        images = workspace.images(data)
        step = max(1, min(_BATCH, _NUMBERS // prod(data.shape)))
        parts: tuple[list[Tensor], list[Tensor]] = ([], [])
        for start in range(0, len(images.ids), step):
            pixels = torch.from_numpy(np.array(images.pixels[start : start + step])).to(workspace.device).float() / 255
            x = changed(pixels, np.asarray(images.ids[start : start + step]), self.change, self.seed)
            for part, outputs in zip(parts, _both(net, x), strict=True):
                part.append(outputs.float().cpu())
        return torch.cat(parts[0]), torch.cat(parts[1])

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """What h and g(h) know, a group a change, a row a method."""
        from analysis.figures.transform_probe import transform_probe

        return transform_probe(drawn)


@torch.no_grad()
def _both(net: Net, x: Float[Tensor, "n c h w"]) -> tuple[Tensor, Tensor]:
    h = net.features(x)
    return h, net(x) if isinstance(net, LayerwiseNet) else net.top(h.clone())


def _accuracy(probe: Probe, x: Float[Tensor, "n d"], truth: Int64[Tensor, " n"]) -> float:
    predicted = (x.double() @ probe.weight.T + probe.bias).argmax(dim=1)
    return 100 * int((predicted == truth).sum()) / len(truth)
