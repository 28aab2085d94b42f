"""ResNet-18 with the CIFAR stem, the encoder of the published experiments on 32 x 32 images."""

from dataclasses import dataclass

import torch
from torch import nn

from contrast.encoders.encoder import Encoder
from contrast.encoders.resnet import residual_network


@dataclass(frozen=True)
class ResNet18(Encoder):
    """Stages of 64, 128, 256 and 512 channels, two basic blocks each; a 3x3 stem of stride 1, no max-pool (PROTOCOL 1.2)."""

    @property
    def width(self) -> int:
        """512."""
        return 512

    def build(self, channels: int, generator: torch.Generator) -> nn.Module:
        """[N, channels, H, W] -> [N, 512]."""
        return residual_network(channels, (64, 128, 256, 512), 2, generator)
