"""ResNet-50: bottlenecks 3, 4, 6 and 3."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.encoders.published_resnet import PublishedResNet


@dataclass(frozen=True)
class ResNet50(PublishedResNet):
    """Bottlenecks 3, 4, 6, 3 in four stages; 2048 features at the usual width (PROTOCOL 1.2); see `PublishedResNet`."""

    blocks: ClassVar[tuple[int, int, int, int]] = (3, 4, 6, 3)
    bottleneck: ClassVar[bool] = True
