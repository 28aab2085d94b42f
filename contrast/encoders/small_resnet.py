"""A residual network for minutes on two cores: ResNet-8 as it stands, ResNet-20 with three blocks a stage."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from contrast.component import require_count
from contrast.encoders.encoder import Encoder
from contrast.encoders.resnet import residual_network


@dataclass(frozen=True)
class SmallResNet(Encoder):
    """Stages of w, 2w and 4w channels (w = `base_width`), `blocks` basic blocks each; 6 `blocks` + 2 layers with a classifier.

    For images of 8 to 32 pixels a side; `base_width` is from 1 to 1024, `blocks` from 1 to 1000. The features are 4 `base_width` wide.
    """

    base_width: int = 16
    blocks: int = 1
    stages: ClassVar[int] = 3

    def __post_init__(self) -> None:
        require_count(self, "base_width", 1024, "Use 16 for ResNet-8.")
        require_count(self, "blocks", 1000, "Use 1 for ResNet-8.")

    @property
    def width(self) -> int:
        """4 `base_width`."""
        return 4 * self.base_width

    def build(self, channels: int, generator: torch.Generator) -> nn.Module:
        """[N, channels, H, W] -> [N, 4 base_width]."""
        return residual_network(channels, (self.base_width, 2 * self.base_width, 4 * self.base_width), self.blocks, generator)
