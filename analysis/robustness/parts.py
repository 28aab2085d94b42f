"""Samples attacked a part at a time: what a part found is kept, so that a measure of minutes goes on where it was stopped."""

from collections.abc import Callable, Generator

import torch
from jaxtyping import Int64
from torch import Tensor

from contrast.stage import Metrics, Workspace

PARTS = 8


def in_parts(
    workspace: Workspace, samples: int, attack: Callable[[Int64[Tensor, " m"]], dict[str, Tensor]], parts: int = PARTS
) -> Generator[Metrics, None, dict[str, Tensor]]:
    """What `attack(rows)` gives for every sample, on the CPU, in order of the rows; with fewer samples than parts the last are empty."""
    part, state = workspace.restore()
    for place, rows in list(enumerate(torch.arange(samples).tensor_split(parts)))[part:]:
        found = {name: value.cpu() for name, value in attack(rows).items()} if len(rows) else {}
        state = state | {name: torch.cat([state[name], value]) if name in state else value for name, value in found.items()}
        workspace.save(place + 1, {}, state)
        yield {}
    return state
