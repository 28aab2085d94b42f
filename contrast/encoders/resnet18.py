"""ResNet-18: two basic blocks a stage, the encoder of the published experiments on 32 x 32 images."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.encoders.published_resnet import PublishedResNet


@dataclass(frozen=True)
class ResNet18(PublishedResNet):
    """Basic blocks 2, 2, 2, 2 in four stages; 512 features at the usual width (PROTOCOL 1.2); see `PublishedResNet`."""

    blocks: ClassVar[tuple[int, int, int, int]] = (2, 2, 2, 2)
    bottleneck: ClassVar[bool] = False
