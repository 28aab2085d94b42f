"""RMSProp as TensorFlow's first version has it, which the published SupCon results were trained with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from contrast.component import require
from contrast.optim.optimizer import Optimizer, require_momentum, require_weight_decay


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """s <- decay s + (1 - decay) g^2, v <- momentum v + lr g / sqrt(s + epsilon), w <- w - v (PROTOCOL 1.4).

    Three things differ from torch's: `epsilon` is inside the root, s starts at 1, and the rate is inside the momentum. With the
    published epsilon of 1 the first makes a step up to sqrt(2) longer. Weight decay is added to g, on every parameter.

    `lr` > 0; 0 <= `decay`, `momentum` < 1; `epsilon` > 0; `weight_decay` >= 0.
    """

    decay: float = 0.9
    momentum: float = 0.9
    epsilon: float = 1.0
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.decay < 1, self, "decay", "must be at least 0 and below 1", "0.9 is usual.")
        require_momentum(self, self.momentum)
        require(0 < self.epsilon <= 1, self, "epsilon", "must be above 0 and at most 1", "The published runs have 1.")
        require_weight_decay(self, self.weight_decay)

    def build(self, net: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of `net`."""
        fields = {"decay": self.decay, "momentum": self.momentum, "epsilon": self.epsilon, "weight_decay": self.weight_decay}
        return _RmsProp(net.parameters(), {"lr": self.lr} | fields)


class _RmsProp(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        slope = gradient.add(weight, alpha=group["weight_decay"])
        state = self.state[weight]
        if not state:
            state["square_avg"], state["momentum_buffer"] = torch.ones_like(weight), torch.zeros_like(weight)
        square = state["square_avg"].mul_(group["decay"]).addcmul_(slope, slope, value=1 - group["decay"])
        velocity = state["momentum_buffer"].mul_(group["momentum"]).addcdiv_(slope, (square + group["epsilon"]).sqrt(), value=group["lr"])
        weight.sub_(velocity)
