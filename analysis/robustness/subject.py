"""What is attacked: a network prepared for many passes, and the chosen samples."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor, nn

from analysis.checks import require_classes, require_logits
from analysis.folding import fold
from analysis.measure import Measure
from analysis.subset import stratified
from contrast.attacks import BATCH
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Workspace


class Subject(NamedTuple):
    """A network in eval mode, its normalisations folded, pixels `x` in [0, 1], labels `y` and the ids of the samples."""

    net: nn.Module
    x: Float[Tensor, "n c h w"]
    y: Int64[Tensor, " n"]
    ids: Int[np.ndarray, " n"]


def subject(measure: Measure, model: Model, on: Dataset, samples: int | None, workspace: Workspace) -> Subject:
    """The network of `measure` and a stratified subset of `on`, both channels last.

    Raises `UserError` when the network's outputs are not one a class, are not finite, or are probabilities.
    """
    images = workspace.images(on)
    chosen = stratified(images.labels, samples)
    pixels, y = workspace.pixels(on, chosen)
    x = pixels.contiguous(memory_format=torch.channels_last)
    net = fold(model.net, x[:2])[0].to(memory_format=torch.channels_last)
    with torch.no_grad():
        outputs = torch.cat([net(part) for part in x.split(BATCH)])
    require_classes(measure, outputs.shape[1], on)
    require_logits(measure, outputs)
    return Subject(net, x, y, np.asarray(images.ids)[chosen])
