"""No augmentation: one view, the image itself (PROTOCOL 1.5, `none`)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.views import Views


@dataclass(frozen=True)
class Plain(Views):
    """One view, unchanged."""

    @property
    def count(self) -> int:
        """One view."""
        return 1

    def view(self, pixels: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """The images themselves."""
        return pixels
