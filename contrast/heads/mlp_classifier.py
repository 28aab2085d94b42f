"""A classifier of two layers, which fine-tuning puts on an encoder that it tunes (PROTOCOL 4.2)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from contrast.component import require_count
from contrast.heads.head import MOST_HIDDEN, Head, dense


@dataclass(frozen=True)
class MLPClassifier(Head):
    """A dense layer, ReLU and a dense layer to class logits; `hidden` (1 to 16384) is the width between them."""

    hidden: int = 2048
    classifies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_count(self, "hidden", MOST_HIDDEN, "2048 is usual.")

    def build(self, width: int, classes: int, generator: torch.Generator) -> nn.Module:
        """[N, width] -> [N, classes]."""
        return nn.Sequential(dense(width, self.hidden, generator), nn.ReLU(inplace=True), dense(self.hidden, classes, generator))
