"""Doing something to some rows of a batch."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor


def on_rows_(x: Tensor, rows: Int[np.ndarray, " m"], change: Callable[[Tensor], Tensor]) -> Tensor:
    """Replace the `rows` of `x` by `change` of them, in place; other rows stay, and no row at all costs nothing."""
    if len(rows):
        index = torch.from_numpy(rows).to(x.device)
        x.index_copy_(0, index, change(x.index_select(0, index)))
    return x


def column(values: np.ndarray, x: Tensor) -> Tensor:
    """One number a row as a tensor [n, 1, 1, 1] of the kind of `x`."""
    return torch.from_numpy(values).to(x.device, x.dtype)[:, None, None, None]
