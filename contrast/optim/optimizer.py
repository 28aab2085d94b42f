"""An optimiser is a recipe: it is built for the parameters of one network and trains them."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from contrast.component import Component, require


@dataclass(frozen=True)
class Optimizer(Component, ABC):
    """`lr` > 0 is the rate that the schedule starts from. First and positional."""

    lr: float

    def __post_init__(self) -> None:
        require(0 < self.lr < math.inf, self, "lr", "must be above 0 and finite", "Usual values are 0.01 to 1, for Adam 0.001.")

    @abstractmethod
    def build(self, net: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of all parameters of `net`; what it remembers of a parameter is tensors in `state[parameter]`."""


def decays(optimizer: Optimizer) -> bool:
    """Whether it draws weights to 0."""
    return any(group.get("weight_decay", 0.0) > 0 for group in optimizer.build(nn.Linear(1, 1)).param_groups)


def require_momentum(owner: Optimizer, momentum: float) -> None:
    """Raise `UserError` unless 0 <= momentum < 1."""
    require(0 <= momentum < 1, owner, "momentum", "must be at least 0 and below 1", "0.9 is usual.")


def require_weight_decay(owner: Optimizer, weight_decay: float) -> None:
    """Raise `UserError` unless weight_decay is 0 or above and finite."""
    require(0 <= weight_decay < math.inf, owner, "weight_decay", "must be 0 or above and finite", "1e-4 is usual.")
