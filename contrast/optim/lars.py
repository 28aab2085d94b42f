"""LARS: every layer steps by a fixed share of its weights' length, which large batches need."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from contrast.component import require
from contrast.optim.optimizer import Optimizer, require_momentum, require_weight_decay

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True)
class LARS(Optimizer):
    """v <- momentum v + lr trust (g + weight_decay w), w <- w - v (You, Gitman and Ginsburg, 2017; PROTOCOL 1.4).

    trust = `coefficient` |w| / |g + weight_decay w| for each tensor, 1 where a length is 0; the rate is inside the momentum, which
    matters when it changes. Parameters of normalisation layers are neither decayed nor scaled, nor are biases unless
    `adapt_biases`: SimCLR leaves biases out, the published SupCon code keeps them in.

    `lr` > 0; 0 <= `momentum` < 1; `weight_decay` >= 0; `coefficient` > 0.
    """

    momentum: float = 0.9
    weight_decay: float = 1e-4
    coefficient: float = 1e-3
    adapt_biases: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_momentum(self, self.momentum)
        require_weight_decay(self, self.weight_decay)
        require(0 < self.coefficient <= 1, self, "coefficient", "must be above 0 and at most 1", "0.001 is usual.")

    def build(self, net: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of `net`; a parameter that several layers share is treated as in the first of them."""
        named = [(name, p, layer) for layer in net.modules() for name, p in layer.named_parameters(recurse=False)]
        excluded = {p: isinstance(layer, _NORMS) or (name.endswith("bias") and not self.adapt_biases) for name, p, layer in reversed(named)}
        adapted = [p for p in net.parameters() if not excluded[p]]
        plain = [p for p in net.parameters() if excluded[p]]
        groups: list[dict[str, Any]] = [
            {"params": adapted, "weight_decay": self.weight_decay, "coefficient": self.coefficient},
            {"params": plain, "weight_decay": 0.0, "coefficient": None},
        ]
        return _Lars(groups, {"lr": self.lr, "momentum": self.momentum})


class _Lars(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        slope = gradient.add(weight, alpha=group["weight_decay"])
        scaled = slope * group["lr"]
        if group["coefficient"] is not None:
            length, steepness = torch.linalg.vector_norm(weight), torch.linalg.vector_norm(slope)
            both = (length > 0) & (steepness > 0)
            scaled *= torch.where(both, group["coefficient"] * length / torch.where(both, steepness, 1), 1)
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity = state["momentum_buffer"].mul_(group["momentum"]).add_(scaled)
        weight.sub_(velocity)
