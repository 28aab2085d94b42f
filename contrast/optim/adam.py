"""Adam, the optimiser of the random-bits experiments."""

from dataclasses import dataclass

import torch
from torch import nn

from contrast.component import require
from contrast.optim.optimizer import Optimizer, require_weight_decay


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam with both moments corrected for their start at zero (Kingma and Ba, 2015; PROTOCOL 8.4 has lr 1e-3).

    `lr` > 0; 0 <= `beta1`, `beta2` < 1; `epsilon` > 0 is added to the root; `weight_decay` >= 0 is added to the gradient.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.beta1 < 1, self, "beta1", "must be at least 0 and below 1", "0.9 is usual.")
        require(0 <= self.beta2 < 1, self, "beta2", "must be at least 0 and below 1", "0.999 is usual.")
        require(0 < self.epsilon <= 1, self, "epsilon", "must be above 0 and at most 1", "1e-8 is usual.")
        require_weight_decay(self, self.weight_decay)

    def build(self, net: nn.Module) -> torch.optim.Adam:
        """The optimiser of `net`."""
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(net.parameters(), lr=self.lr, betas=betas, eps=self.epsilon, weight_decay=self.weight_decay)
