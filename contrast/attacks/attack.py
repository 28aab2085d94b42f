"""An attack that a training defends against: the images of every batch are changed so that they are misclassified."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from contrast.component import Component


@dataclass(frozen=True)
class Attack(Component, ABC):
    """Made anew for every batch against the network as it is then. `clean`: the images themselves are learnt too, beside the attacked."""

    @property
    @abstractmethod
    def clean(self) -> bool | None:
        """Whether a batch holds the images themselves too."""

    @abstractmethod
    def __call__(
        self, net: nn.Module, pixels: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"], ids: Int[np.ndarray, " n"], seed: int, epoch: int
    ) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] near `pixels` that `net` gets wrong; equal (seed, epoch, id) give equal draws in any batch."""
