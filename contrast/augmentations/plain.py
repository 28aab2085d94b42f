"""No augmentation: one view, the image itself (PROTOCOL 1.5, `none`)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.views import Views


@dataclass(frozen=True)
class Plain(Views):
    """One view, unchanged."""

    @property
    def count(self) -> int:
        """One view."""
        return 1

    def __call__(self, pixels: Float[Tensor, "n c h w"], ids: Int[np.ndarray, " n"], seed: int, epoch: int) -> Float[Tensor, "n v c h w"]:
        """The images themselves, not copied; see `Views`."""
        return pixels[:, None]
