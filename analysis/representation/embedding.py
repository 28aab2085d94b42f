"""What a measure of a representation reads: the encoder's features, or what the projection head makes of them.

The field `at` of these measures says which: None is the encoder's features h, which are transferred; "projection" is z,
what the loss saw.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.measure import Measure
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.heads.head import Head
from contrast.heads.stage_heads import StageHeads
from contrast.model import Model, Net
from contrast.stage import Stage, Workspace

At = Literal["projection"]
_ROWS = 4096


def require_at(measure: Measure, at: At | None) -> None:
    """Raise `UserError` where a projection is asked of a stage that was not trained with one projection head."""
    require(at in (None, "projection"), measure, "at", "must be None or 'projection'", "None is the encoder's features.")
    stages = measure.of if isinstance(measure.of, tuple) else (measure.of,)
    projects = at is None or all(map(_projects, stages))
    require(projects, measure, "at", "asks for one projection head, which `of` has not", "Use None, or measure a Pretrain with MLPHead().")


def embed(net: Net, x: Float[Tensor, "n c h w"], at: At | None) -> Float[Tensor, "n d"]:
    """Features or projections of pixels in [0, 1], without gradient."""
    with torch.no_grad():
        return net.features(x) if at is None else net(x)


def embedding(model: Model, on: Dataset, at: At | None, workspace: Workspace) -> Float[Tensor, "n d"]:
    """Features or projections of `on` in id order, in eval mode, on the CPU; the other measures of the stage share the features."""
    features = workspace.features(model, on)
    if at is None:
        return features
    top = model.net.to(workspace.device).top
    with torch.no_grad():
        return torch.cat([top(rows.to(workspace.device)).float().cpu() for rows in features.split(_ROWS)])


def _projects(stage: Stage) -> bool:
    head = vars(stage).get("head")
    return isinstance(head, Head) and not head.classifies and not isinstance(head, StageHeads)
