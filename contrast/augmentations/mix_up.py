"""MixUp: an image and another as if laid over each other (Zhang, Cisse, Dauphin and Lopez-Paz, 2018)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.mix import Mix, beta
from contrast.augmentations.rows import column


@dataclass(frozen=True)
class MixUp(Mix):
    """lambda x_i + (1 - lambda) x_j with lambda of Beta(`alpha`, `alpha`), an image's own; labels in the same shares."""

    alpha: float = 0.2

    def __call__(
        self, own: Float[Tensor, "n v c h w"], other: Float[Tensor, "n v c h w"], draws: Draws
    ) -> tuple[Float[Tensor, "n v c h w"], Float[np.ndarray, " n"]]:
        """See `Mix`."""
        shares = beta(draws, "mixup", self.alpha)
        return mix_up(own, other, shares), shares


def mix_up(
    own: Float[Tensor, "n v c h w"], other: Float[Tensor, "n v c h w"], shares: Float[np.ndarray, " n"]
) -> Float[Tensor, "n v c h w"]:
    """`own` with its share of each mixture, `other` with the rest."""
    share = column(shares, own)[..., None]
    return own * share + other * (1 - share)
