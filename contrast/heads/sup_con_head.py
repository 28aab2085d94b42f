"""The projection heads of the SupCon paper's own code: no bias in the last layer, on features of unit length (PROTOCOL 1.3)."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from contrast.component import require, require_count
from contrast.heads.head import MOST_OUT, Head, dense


@dataclass(frozen=True)
class SupConHead(Head):
    """`depth` dense layers (1 to 4), ReLU between them, the last without bias; hidden width = input width, `out` 1 to 65536.

    `unit_input`: features are scaled to length 1 first. `SupConHead()` is the head for ImageNet,
    `SupConHead(2, unit_input=False)` the one for CIFAR.
    """

    depth: int = 1
    out: int = 128
    unit_input: bool = True

    def __post_init__(self) -> None:
        require(1 <= self.depth <= 4, self, "depth", "must be an integer from 1 to 4", "Use MLPHead(0) for no head.")
        require_count(self, "out", MOST_OUT, "128 is usual.")

    def build(self, width: int, classes: int, generator: torch.Generator) -> nn.Module:
        """[N, width] -> [N, out]; `classes` is not read."""
        layers: list[nn.Module] = [_UnitLength()] if self.unit_input else []
        for before, after in pairwise([width] * self.depth):
            layers += [dense(before, after, generator), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers, dense(width, self.out, generator, bias=False))


class _UnitLength(nn.Module):
    def forward(self, h: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return normalize(h, dim=1)
