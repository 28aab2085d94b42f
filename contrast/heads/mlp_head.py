"""The projection head: a small multilayer perceptron that is thrown away after pretraining."""

from dataclasses import dataclass

import torch
from torch import nn

from contrast.component import require
from contrast.heads.head import Head, dense


@dataclass(frozen=True)
class MLPHead(Head):
    """`depth` dense layers with bias, ReLU between them, hidden width = input width, no batch normalisation (PROTOCOL 1.3).

    `depth` 0 to 4: 0 is the identity (z = h, `out` has no effect), 1 a linear map, 2 the head of the SupCon reference code.
    `out` >= 1 is the width of z. The projection is not normalised here; the losses do that.
    """

    depth: int = 2
    out: int = 128

    def __post_init__(self) -> None:
        require(isinstance(self.depth, int) and 0 <= self.depth <= 4, self, "depth", "must be an integer from 0 to 4", "0 is no head.")
        require(isinstance(self.out, int) and self.out >= 1, self, "out", "must be an integer of 1 or above", "128 is usual.")

    def build(self, width: int, classes: int, generator: torch.Generator) -> nn.Module:
        """[N, width] -> [N, out], or the identity; `classes` is not read."""
        if self.depth == 0:
            return nn.Identity()
        layers: list[nn.Module] = []
        for _ in range(self.depth - 1):
            layers += [dense(width, width, generator), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers, dense(width, self.out, generator))
