"""A head is what stands on the encoder during training: a projection for contrast, a classifier for labels."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from contrast.component import Component

MOST_OUT, MOST_HIDDEN = 2**16, 2**14  # where a layer between two as wide has 1 GB of weights


@dataclass(frozen=True)
class Head(Component, ABC):
    """A recipe for a module [N, width] -> [N, k]. `classifies`: whether k is the number of classes and the output logits."""

    classifies: ClassVar[bool] = False

    @abstractmethod
    def build(self, width: int, classes: int, generator: torch.Generator) -> nn.Module:
        """The module for features of `width` and data of `classes` classes; all weights are drawn from `generator`."""


def dense(inputs: int, outputs: int, generator: torch.Generator, *, bias: bool = True) -> nn.Linear:
    """A linear layer with torch's default law, weights and biases uniform in +- 1 / sqrt(inputs), drawn from `generator`."""
    layer = nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device="cpu")  # which draws nothing from the global generator
    bound = inputs**-0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    if bias:
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
