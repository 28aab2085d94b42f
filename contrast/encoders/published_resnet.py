"""What the published residual networks share: a choice of stem and a width."""

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from contrast.component import require, require_count
from contrast.encoders.encoder import Encoder
from contrast.encoders.resnet import EXPANSION, BasicBlock, Bottleneck, large_stem, small_stem, stages

_USUAL = 64


@dataclass(frozen=True)
class PublishedResNet(Encoder, ABC):
    """A residual network of four stages. Subclasses say how many blocks each has and whether these are bottlenecks.

    `stem`: None is the CIFAR stem, a 3x3 convolution without max-pool, for images of up to 64 pixels a side; "imagenet" is
    a 7x7 convolution of stride 2 with a max-pool. `base_width` (1 to 512, None is the usual 64): channels of the first
    stage, before the fourfold expansion of bottlenecks; each further stage has twice as many.
    """

    stem: Literal["imagenet"] | None = None
    base_width: int | None = None

    blocks: ClassVar[tuple[int, int, int, int]]
    bottleneck: ClassVar[bool]
    stages: ClassVar[int] = 4

    def __post_init__(self) -> None:
        require(self.stem in (None, "imagenet"), self, "stem", "must be None or 'imagenet'", "None is the stem of small images.")
        require_count(self, "base_width", 512, "64 is usual, 128 is twice as wide.")
        if self.base_width == _USUAL:
            object.__setattr__(self, "base_width", None)

    @property
    def width(self) -> int:
        """8 base widths; of bottlenecks 32."""
        return self._widths[-1]

    @property
    def _widths(self) -> tuple[int, ...]:
        narrow = self.base_width or _USUAL
        return tuple(narrow * 2**i * (EXPANSION if self.bottleneck else 1) for i in range(4))

    def build(self, channels: int, generator: torch.Generator) -> nn.Module:
        """[N, channels, H, W] -> [N, width]."""
        narrow = self.base_width or _USUAL
        stem = (small_stem if self.stem is None else large_stem)(channels, narrow, generator)
        return stages(stem, narrow, self._widths, self.blocks, Bottleneck if self.bottleneck else BasicBlock, generator)
