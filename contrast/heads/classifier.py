"""The linear classifier: of supervised pretraining, and of every fine-tuning."""

from dataclasses import dataclass

import torch
from torch import nn

from contrast.heads.head import Head, dense


@dataclass(frozen=True)
class Classifier(Head):
    """One linear map with bias from features to class logits, in torch's default initialisation (PROTOCOL 4.1)."""

    def build(self, width: int, classes: int, generator: torch.Generator) -> nn.Module:
        """[N, width] -> [N, classes]."""
        return dense(width, classes, generator)
