"""What a segmentation gets right: intersection over union of classes, from one confusion matrix over the whole set (METRICS 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from analysis.accuracy.confusion import class_iou, confusion_matrix, segmentation_scores
from analysis.measure import Drawn, Measure
from contrast.component import UserError, require
from contrast.data.segmented import IGNORED, SegmentedImages
from contrast.model import Model
from contrast.segment import Segment
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_SHOWN, _BATCH = 4, 8  # images that are kept for the picture; images at a time


@dataclass(frozen=True)
class Segmentation(Measure):
    """Percent of `on`, in eval mode: `miou`, mean intersection over union; `mpa`, mean accuracy a class; `fwiou`, IoU by frequency;
    `dice`, the mean Dice coefficient; `pa`, the share of pixels that is right.

    Pixels are scored at the size of the data set's masks, scaled into a square (`SegmentedImages`), and those without a class are
    not. Published scores are taken at each image's own size: these do not compare with them, only with each other. A class that is
    neither there nor predicted is in no mean. Arrays: `confusion` int64 [C, C], entry [i, j] pixels of class i taken for class j;
    `iou` [C]; of the first images by id `pixels` [k, 3, H, W], `truth` and `predicted` [k, H, W].
    """

    on: SegmentedImages
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(isinstance(self.of, Segment), self, "of", "must be a segmentation", "Pass what Segment(...) gave.")
        assert isinstance(self.of, Segment)
        trained, classes = self.of.data.pixel_classes, self.on.pixel_classes
        rule = f"has {classes} classes of pixels, and the network was trained on {trained}"
        require(classes == trained, self, "on", rule, "Take both from one data set.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`miou`, `mpa`, `fwiou`, `dice` and `pa`; raises `UserError` where no pixel has a class."""
        scenes = self.on.scenes(workspace.data)
        classes = self.on.pixel_classes
        net, confusion, shown = model.net.to(workspace.device), np.zeros((classes, classes), dtype=np.int64), []
        for start in range(0, len(scenes.ids), _BATCH):
            pixels, masks = (torch.from_numpy(np.array(part[start : start + _BATCH])) for part in (scenes.pixels, scenes.masks))
            with torch.no_grad():
                predicted = net(pixels.to(workspace.device).float() / 255).argmax(dim=1).to(torch.uint8).cpu()
            confusion += confusion_matrix(masks, predicted, classes, IGNORED).numpy()
            if start < _SHOWN:
                shown.append(predicted)
        if not confusion.any():
            raise UserError(f"Segmentation.on = {self.on!r}: no pixel has a class. Check the masks: 255 stands for none.")
        first = slice(min(_SHOWN, len(scenes.ids)))
        workspace.keep_arrays(
            confusion=confusion,
            iou=class_iou(confusion),
            pixels=np.array(scenes.pixels[first]),
            truth=np.array(scenes.masks[first]),
            predicted=torch.cat(shown)[first].numpy(),
        )
        return segmentation_scores(confusion)

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Some images with their masks and what each method makes of them."""
        from analysis.figures.masks import masks

        return masks(drawn)
