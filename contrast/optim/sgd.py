"""Stochastic gradient descent with momentum, as the published experiments use it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from contrast.component import Component, require


@dataclass(frozen=True)
class SGD(Component):
    """Momentum SGD with weight decay on every parameter (PROTOCOL 1.4).

    `lr` > 0 is the rate at the start of the schedule; 0 <= `momentum` < 1; `weight_decay` >= 0; `nesterov` needs momentum.
    """

    lr: float
    momentum: float = 0.9
    weight_decay: float = 1e-4
    nesterov: bool = False

    def __post_init__(self) -> None:
        require(0 < self.lr < math.inf, self, "lr", "must be above 0 and finite", "Usual values are 0.01 to 1.")
        require(0 <= self.momentum < 1, self, "momentum", "must be at least 0 and below 1", "0.9 is usual.")
        require(0 <= self.weight_decay < math.inf, self, "weight_decay", "must be 0 or above and finite", "1e-4 is usual.")
        require(not self.nesterov or self.momentum > 0, self, "nesterov", "needs momentum above 0", "Set momentum, or nesterov=False.")

    def build(self, params: Iterable[nn.Parameter]) -> torch.optim.SGD:
        """The optimiser of `params`."""
        return torch.optim.SGD(params, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov)
