"""The linear classifier: of supervised pretraining, and of every fine-tuning."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from contrast.heads.head import Head, dense


@dataclass(frozen=True)
class Classifier(Head):
    """One linear map from features to class logits, in torch's default initialisation (PROTOCOL 4.1).

    `bias`: None is with one, False without, as Core-tuning has it (PROTOCOL 7.1).
    """

    bias: Literal[False] | None = None
    classifies: ClassVar[bool] = True

    def build(self, width: int, classes: int, generator: torch.Generator) -> nn.Module:
        """[N, width] -> [N, classes]."""
        return dense(width, classes, generator, bias=self.bias is None)
