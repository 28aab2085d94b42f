"""Views as a sequence of operations: every recipe of PROTOCOL 1.5 is a value of this class (`contrast/augmentations/recipes.py`)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.transform import Transform
from contrast.augmentations.views import MOST_VIEWS, Views
from contrast.component import require, require_count

_CACHED = 4 << 20  # bytes of views that a CPU makes at a time, so that they stay in its cache from one operation to the next


@dataclass(frozen=True)
class Augment(Views):
    """`views` views of each image (1 to 256), each by all `operations` in their order, with draws of its own.

    An operation may stand there once, since what it draws is named after it.
    """

    operations: tuple[Transform, ...]
    views: int = 2

    def __post_init__(self) -> None:
        require_count(self, "views", MOST_VIEWS, "Use 2 for a contrastive loss.")
        require(len(self.operations) >= 1, self, "operations", "must hold at least one", "Use Plain() for images as they are.")
        kinds = {type(operation) for operation in self.operations}
        require(len(kinds) == len(self.operations), self, "operations", "must hold each kind once", "Drop the repeated one.")

    @property
    def count(self) -> int:
        """As many views as asked for."""
        return self.views

    @torch.no_grad()
    def __call__(self, pixels: Float[Tensor, "n c h w"], ids: Int[np.ndarray, " n"], seed: int, epoch: int) -> Float[Tensor, "n v c i j"]:
        """The views of each image; see `Views`. Operations that resize decide on i and j."""
        fitting = max(1, _CACHED // (self.views * pixels[0].nbytes)) if pixels.device.type == "cpu" else len(pixels)
        starts = range(0, len(pixels), fitting)
        parts = [self._some(pixels[i : i + fitting], Draws(seed, ids[i : i + fitting], epoch, self.views)) for i in starts]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _some(self, pixels: Tensor, draws: Draws) -> Tensor:
        x = pixels.repeat_interleave(self.views, dim=0)
        for operation in self.operations:
            x = operation(x, draws)
        return x.view(len(pixels), self.views, *x.shape[1:])
