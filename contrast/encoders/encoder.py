"""An encoder turns images into features; it is what pretraining is for and what is transferred."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from contrast.component import Component


@dataclass(frozen=True)
class Encoder(Component, ABC):
    """A recipe for a module [N, C, H, W] -> [N, width]; of residual networks, one that ends in global average pooling.

    `stages`: how many stages it has, modules stage1, stage2 and so on, each with twice the channels of the one before; 0 for others.
    """

    stages: ClassVar[int] = 0

    @property
    @abstractmethod
    def width(self) -> int:
        """d, the number of features."""

    @abstractmethod
    def build(self, channels: int, generator: torch.Generator) -> nn.Module:
        """The module for images of `channels` channels; all weights are drawn from `generator`."""
