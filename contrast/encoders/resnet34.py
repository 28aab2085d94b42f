"""ResNet-34: basic blocks 3, 4, 6 and 3."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.encoders.published_resnet import PublishedResNet


@dataclass(frozen=True)
class ResNet34(PublishedResNet):
    """Basic blocks 3, 4, 6, 3 in four stages; 512 features at the usual width (PROTOCOL 1.2); see `PublishedResNet`."""

    blocks: ClassVar[tuple[int, int, int, int]] = (3, 4, 6, 3)
    bottleneck: ClassVar[bool] = False
