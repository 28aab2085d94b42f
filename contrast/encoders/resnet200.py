"""ResNet-200: bottlenecks 3, 24, 36 and 3."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.encoders.published_resnet import PublishedResNet


@dataclass(frozen=True)
class ResNet200(PublishedResNet):
    """Bottlenecks 3, 24, 36, 3 in four stages; 2048 features at the usual width (PROTOCOL 1.2); see `PublishedResNet`."""

    blocks: ClassVar[tuple[int, int, int, int]] = (3, 24, 36, 3)
    bottleneck: ClassVar[bool] = True
