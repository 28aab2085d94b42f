"""Images as a measure shows them to an encoder: in views that no training has seen, batch by batch."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.representation.embedding import At, embed
from contrast.augmentations.views import Views
from contrast.data.dataset import Dataset
from contrast.model import Net
from contrast.stage import Workspace

_VIEWS = 512
_EPOCH = 0  # training counts from 1, so these views are not training's


def embedded_views(
    net: Net, on: Dataset, views: Views, seed: int, at: At | None, workspace: Workspace, most: int | None = None
) -> Iterator[Float[Tensor, "n v d"]]:
    """Features or projections of the first `most` views of each image of `on`, None for all, in batches in id order.

    Views depend on (seed, id) alone.
    """
    images, net = workspace.images(on), net.to(workspace.device)
    batch = max(1, _VIEWS // views.count)
    for start in range(0, len(images.ids), batch):
        pixels = torch.from_numpy(np.array(images.pixels[start : start + batch])).to(workspace.device).float() / 255
        shown = views(pixels, np.asarray(images.ids[start : start + batch]), seed, _EPOCH)
        yield torch.stack([embed(net, shown[:, view], at) for view in range(views.count)[:most]], dim=1)
