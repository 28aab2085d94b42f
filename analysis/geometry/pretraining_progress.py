"""Progress t_w along a pretraining, which has no classifier: what classes an encoder tells apart without learning any (PROTOCOL 5.1).

Of each snapshot, features on the unit sphere give a prototype a class, the mean of its images' features, and an image's logits are
minus its squared distances to the prototypes. Softmax has no temperature, so logits are between -4 and 0 and probabilities stay
near uniform: t_w compares epochs and methods with one another, and not with fine-tunings.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from analysis.checks import require_one_class, require_one_stage
from analysis.geometry.bhattacharyya import distance_to_truth
from analysis.geometry.progress import length_ratio, progress
from analysis.measure import Drawn, Measure
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.pretraining import Pretraining
from contrast.snapshots import read_snapshots
from contrast.stage import Metrics, Workspace, extract

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class PretrainingProgress(Measure):
    """Progress of a pretraining's snapshots on `on`, by class prototypes; the pretraining has `snapshots` set.

    `logits`: "distance" is minus the squared distance to a prototype, "dot" its product with the features.
    Results: `t` of the last epoch, 0 to 1; `bhattacharyya`, its d_B to the truth in nats; `length_ratio` and `clipped_share` as of
    `Progress`. Arrays: `epoch`, `t` and `bhattacharyya` [S + 1], and `log_probs` float32 [S + 1, N, C], `labels` and `ids` [N], as
    fine-tunings keep them, so that `InPCA` and `Tube` take it in the place of a fine-tuning.
    Raises `UserError` for an `of` without snapshots, and where a class has no image.
    """

    on: Dataset
    logits: Literal["distance", "dot"] = "distance"
    keeps_log_probs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "on")
        kept = isinstance(self.of, Pretraining) and self.of.snapshots is not None
        require(kept, self, "of", "must be a pretraining that keeps snapshots", "Set snapshots=20 of its Pretrain, MoCo or VAE.")
        require(self.on.num_classes >= 2, self, "on", "has one class, so there is nothing to know", "Use two classes or more.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`t`, `bhattacharyya`, `length_ratio` and `clipped_share`."""
        images = workspace.images(self.on)
        labels = torch.from_numpy(np.array(images.labels))
        present = len(labels.unique()) == self.on.num_classes
        require(present, self, "on", "has a class without an image, which has no prototype", "Use more images a class.")
        net, epochs, rows = copy.deepcopy(model.net), [], []
        for epoch, weights in read_snapshots(workspace.of(model.stage)):
            net.encoder.load_state_dict(weights)
            features = extract(net, images.pixels, workspace.device)
            rows.append(prototype_log_probs(features, labels, self.on.num_classes, self.logits))
            epochs.append(epoch)
        log_probs = torch.stack(rows)
        t, (distance, clipped) = progress(log_probs, labels), distance_to_truth(log_probs, labels)
        kept = {"log_probs": log_probs.float().numpy(), "labels": np.array(images.labels), "ids": np.array(images.ids)}
        workspace.keep_arrays(epoch=np.array(epochs), t=t.numpy(), bhattacharyya=distance.numpy(), **kept)
        final = {"t": t[-1].item(), "bhattacharyya": distance[-1].item()}
        return {**final, "length_ratio": length_ratio(log_probs), "clipped_share": clipped}

    def model(self, workspace: Workspace) -> Model:
        """The network of the pretraining, for measures of trajectories."""
        return self.of.model(workspace) if not isinstance(self.of, tuple) else super().model(workspace)

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """t_w by epoch of the pretraining, a panel per task, a line per method."""
        from analysis.figures.progress import progress as draw

        return draw(drawn, "pretraining epoch")


def prototype_log_probs(
    features: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], classes: int, logits: Literal["distance", "dot"] = "distance"
) -> Float[Tensor, "n c"]:
    """Log-probabilities float64 of images by the prototypes of their own classes; these are means and not normalised again."""
    unit = normalize(features.double(), dim=1)
    prototypes = torch.stack([unit[labels == c].mean(dim=0) for c in range(classes)])
    products = unit @ prototypes.T
    if logits == "distance":
        products = 2 * products - unit.square().sum(dim=1, keepdim=True) - prototypes.square().sum(dim=1)
    return products.log_softmax(dim=1)
