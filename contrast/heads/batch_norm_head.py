"""The projection head of SimCLR: dense layers without bias, each with batch normalisation (PROTOCOL 1.3)."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from contrast.component import require, require_count
from contrast.heads.head import MOST_HIDDEN, MOST_OUT, Head, dense


@dataclass(frozen=True)
class BatchNormHead(Head):
    """`depth` dense layers without bias (1 to 4), batch normalisation and ReLU between them, `out` (1 to 65536) wide at the end.

    `last`: the last layer is normalised too, without a shift and without ReLU, as in SimCLR; the head of `ConvN` is
    `BatchNormHead(2, out=64 * n, hidden=256 * n, last=False)`. `hidden` is 1 to 16384; None is the width of the input.
    """

    depth: int = 3
    out: int = 128
    hidden: int | None = None
    last: bool = True

    def __post_init__(self) -> None:
        require(1 <= self.depth <= 4, self, "depth", "must be an integer from 1 to 4", "Use MLPHead(0) for no head.")
        require_count(self, "out", MOST_OUT, "128 is usual.")
        require_count(self, "hidden", MOST_HIDDEN, "None is the width of the input.")

    def build(self, width: int, classes: int, generator: torch.Generator) -> nn.Module:
        """[N, width] -> [N, out]; `classes` is not read."""
        widths = [width, *[self.hidden or width] * (self.depth - 1)]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [dense(before, after, generator, bias=False), nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
        layers.append(dense(widths[-1], self.out, generator, bias=False))
        if self.last:
            layers.append(_ScaledNorm(self.out))
        return nn.Sequential(*layers)


class _ScaledNorm(nn.BatchNorm1d):
    """Batch normalisation with a scale and no shift."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_parameter("bias", None)
