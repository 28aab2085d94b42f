"""ConvN: three convolutions and a dense layer, the encoder of the experiments with random bits on MNIST."""

from dataclasses import dataclass

import torch
from torch import nn

from contrast.component import require_count
from contrast.encoders.encoder import Encoder
from contrast.encoders.resnet import convolution
from contrast.heads.head import dense

_SIDE = 4  # of the last feature map of a 28 x 28 image


@dataclass(frozen=True)
class ConvN(Encoder):
    """3x3 convolutions of stride 2 with 32, 64 and 64 `n` filters, flattened, then 128 `n` features (PROTOCOL 1.2).

    Each layer has batch normalisation and ReLU. On images of 25 to 32 pixels a side the last feature map is 4 x 4 and is
    flattened as it is; that of other sizes is pooled or spread to 4 x 4 first. `n` is from 1 to 64.
    """

    n: int = 1

    def __post_init__(self) -> None:
        require_count(self, "n", 64, "Use 1 for the published network.")

    @property
    def width(self) -> int:
        """128 n."""
        return 128 * self.n

    def build(self, channels: int, generator: torch.Generator) -> nn.Module:
        """[N, channels, H, W] -> [N, 128 n]."""
        layers: list[nn.Module] = []
        for before, filters in ((channels, 32 * self.n), (32 * self.n, 64 * self.n), (64 * self.n, 64 * self.n)):
            layers += [convolution(before, filters, 3, 2, generator), nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
        flat = [nn.AdaptiveAvgPool2d(_SIDE), nn.Flatten(), dense(64 * self.n * _SIDE**2, self.width, generator, bias=False)]
        return nn.Sequential(*layers, *flat, nn.BatchNorm1d(self.width), nn.ReLU())
