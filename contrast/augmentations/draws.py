"""Who draws: the samples of one view in one epoch under one seed."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from contrast.random import uniform


class Draws(NamedTuple):
    """The random numbers of the samples `ids` [n] for view number `view` (from 0) in `epoch` under `seed`."""

    seed: int
    ids: Int[np.ndarray, " n"]
    epoch: int
    view: int

    def uniform(self, purpose: str, count: int) -> Float[np.ndarray, "n count"]:
        """`count` independent numbers in [0, 1) for each sample; another purpose gives other ones."""
        return uniform(self.seed, purpose, self.ids, count, epoch=self.epoch, view=self.view)
