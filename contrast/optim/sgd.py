"""Stochastic gradient descent with momentum, as the published experiments use it."""

from dataclasses import dataclass

import torch
from torch import nn

from contrast.component import require
from contrast.optim.optimizer import Optimizer, require_momentum, require_weight_decay


@dataclass(frozen=True)
class SGD(Optimizer):
    """Momentum SGD with weight decay on every parameter (PROTOCOL 1.4).

    `lr` > 0 is the rate at the start of the schedule; 0 <= `momentum` < 1; `weight_decay` >= 0; `nesterov` needs momentum.
    """

    momentum: float = 0.9
    weight_decay: float = 1e-4
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_momentum(self, self.momentum)
        require_weight_decay(self, self.weight_decay)
        require(not self.nesterov or self.momentum > 0, self, "nesterov", "needs momentum above 0", "Set momentum, or nesterov=False.")

    def build(self, net: nn.Module) -> torch.optim.SGD:
        """The optimiser of `net`."""
        return torch.optim.SGD(net.parameters(), lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov)
