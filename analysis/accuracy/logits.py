"""The outputs of a classifier on a data set, as the measures of accuracy read them."""

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from analysis.checks import require_classes, require_logits
from analysis.measure import Measure
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Workspace


def logits(measure: Measure, model: Model, on: Dataset, workspace: Workspace) -> Float64[Tensor, "n c"]:
    """Logits of `on` in id order, in eval mode, on the CPU; the features below them are shared with the other measures of the stage.

    Raises `UserError` when the network's outputs are not one a class, not finite, or probabilities.
    """
    features = workspace.features(model, on)
    with torch.no_grad():
        outputs: Tensor = model.net.top(features.to(workspace.device)).cpu().double()
    require_classes(measure, outputs.shape[1], on)
    require_logits(measure, outputs)
    return outputs


def labels(on: Dataset, workspace: Workspace) -> Int64[Tensor, " n"]:
    """The class of every image of `on` in id order."""
    return torch.from_numpy(np.array(workspace.images(on).labels))
