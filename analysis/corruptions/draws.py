"""The random numbers of one corruption: functions of the sample, the corruption and its severity alone.

So a sample is corrupted alike in any batch, at any time and for every network, as if it were read from a file.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from contrast.random import uniform

Table = Literal["cifar", "imagenet"]
_SEED = 0
_HALF_STEP = 2.0**-54  # uniform numbers are multiples of 2^-53, 0 among them, which has no normal number


class Draws(NamedTuple):
    """What is drawn for the samples `ids` [n] under `corruption` at `severity`; each call with another `what` gives other numbers."""

    ids: Int[np.ndarray, " n"]
    corruption: str
    severity: int

    def uniform(self, what: str, *shape: int) -> Float64[Tensor, "n ..."]:
        """Independent numbers in [0, 1), `shape` of them a sample."""
        numbers = uniform(_SEED, f"{self.corruption}/{what}", self.ids, int(np.prod(shape)), epoch=self.severity)
        return torch.from_numpy(numbers).view(-1, *shape)

    def normal(self, what: str, *shape: int) -> Float64[Tensor, "n ..."]:
        """Independent standard normal numbers, `shape` of them a sample."""
        normal: Tensor = torch.special.ndtri(self.uniform(what, *shape) + _HALF_STEP)
        return normal
