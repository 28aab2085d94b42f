"""One random operation on a batch of views, each row with parameters of its own."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.component import Component


@dataclass(frozen=True)
class Transform(Component, ABC):
    """An operation of an `Augment`: random parameters of each row from `draws`, applied to the whole batch at once."""

    @abstractmethod
    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c i j"]:
        """The rows `x` in [0, 1] after the operation, in [0, 1]. `x` belongs to the operation, which may change it."""
