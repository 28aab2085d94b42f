"""At which rate each parameter of an optimiser learns: the schedule's, a share of it, or one of its own."""

from collections.abc import Iterable

import torch
from torch import nn


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Have every parameter learn at `lr` from now on, or as `set_aside` said of it."""
    for group in optimizer.param_groups:
        group["lr"] = group.get("own", lr * group.get("share", 1.0))


def set_aside(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], how: dict[str, float]) -> None:
    """Have `parameters` learn at a rate of their own: `share` of the one that `set_rate` sets, or `own`, whatever that one is."""
    chosen = set(parameters)
    for group in list(optimizer.param_groups):
        inside = [p for p in group["params"] if p in chosen]
        if inside and len(inside) < len(group["params"]):
            group["params"] = [p for p in group["params"] if p not in chosen]
            optimizer.param_groups.append({**group, "params": inside, **how})
        elif inside:
            group.update(how)
