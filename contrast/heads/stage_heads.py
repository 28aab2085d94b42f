"""A head on every stage of a residual network, for losses that are taken layer by layer."""

from dataclasses import dataclass

import torch
from torch import nn

from contrast.component import require
from contrast.heads.head import Head
from contrast.heads.mlp_head import MLPHead


@dataclass(frozen=True)
class StageHeads(Head):
    """`head` on the pooled output of each of the `stages` stages of the encoder, one after the other (PROTOCOL 6.3).

    Stage k of r has width / 2^(r - k) channels, as in every residual network here. The network's output is the r projections side
    by side, which `Layerwise` takes apart again. All of them are thrown away after pretraining.
    """

    head: MLPHead = MLPHead()
    stages: int = 4

    def __post_init__(self) -> None:
        require(self.stages >= 1, self, "stages", "must be at least 1", "ResNet18 has 4, SmallResNet 3.")
        require(self.head.depth >= 1, self, "head", "must project, since stages have different widths", "Use MLPHead(1) or deeper.")

    def build(self, width: int, classes: int, generator: torch.Generator) -> nn.ModuleDict:
        """Modules stage1 to stageR, each [N, width of the stage] -> [N, out]."""
        widths = {f"stage{k}": width // 2 ** (self.stages - k) for k in range(1, self.stages + 1)}
        return nn.ModuleDict({name: self.head.build(each, classes, generator) for name, each in widths.items()})


def require_projection(owner: object, field: str, cure: str) -> None:
    """Raise `UserError` unless the head in `owner.field` makes one projection of the features, as it is given nothing else."""
    head = getattr(owner, field)
    projects = isinstance(head, Head) and not head.classifies and not isinstance(head, StageHeads)
    require(projects, owner, field, "does not give one projection", cure)
