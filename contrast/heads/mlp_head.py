"""The projection head: a small multilayer perceptron that is thrown away after pretraining."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from contrast.component import require, require_count
from contrast.heads.head import MOST_HIDDEN, MOST_OUT, Head, dense


@dataclass(frozen=True)
class MLPHead(Head):
    """`depth` dense layers with bias, ReLU between them, no batch normalisation (PROTOCOL 1.3).

    `depth` 0 to 4: 0 is the identity (z = h, the other fields have no effect), 1 a linear map, as in MoCo v1, 2 the head of
    the SupCon reference code and of MoCo v2. `out` (1 to 65536) is the width of z, `hidden` (1 to 16384) that of the
    layers between; None is the width of the input. The projection is not normalised here; the losses do that.
    """

    depth: int = 2
    out: int = 128
    hidden: int | None = None

    def __post_init__(self) -> None:
        require(isinstance(self.depth, int) and 0 <= self.depth <= 4, self, "depth", "must be an integer from 0 to 4", "0 is no head.")
        require_count(self, "out", MOST_OUT, "128 is usual.")
        require_count(self, "hidden", MOST_HIDDEN, "None is the width of the input.")

    def build(self, width: int, classes: int, generator: torch.Generator) -> nn.Module:
        """[N, width] -> [N, out], or the identity; `classes` is not read."""
        if self.depth == 0:
            return nn.Identity()
        widths = [width, *[self.hidden or width] * (self.depth - 1)]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [dense(before, after, generator), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers, dense(widths[-1], self.out, generator))
