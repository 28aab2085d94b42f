"""Who draws: all views of some samples, in one epoch, under one seed."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from contrast.random import uniform


class Draws(NamedTuple):
    """The random numbers of `views` views of each of the samples `ids` [n] in `epoch` under `seed`.

    Everything drawn has n * views rows, sample by sample: row i * views + v belongs to view v of sample `ids[i]`.
    """

    seed: int
    ids: Int[np.ndarray, " n"]
    epoch: int
    views: int

    def uniform(self, purpose: str, count: int) -> Float[np.ndarray, "rows count"]:
        """`count` independent numbers in [0, 1) for each view of each sample; another purpose gives other ones."""
        each = [uniform(self.seed, purpose, self.ids, count, epoch=self.epoch, view=view) for view in range(self.views)]
        return np.stack(each, axis=1).reshape(-1, count)
