"""What turns a batch of images into the views that a loss compares.

Every draw is named by (seed, purpose, epoch, sample id, view) and made on the CPU (`contrast/random.py`), so a sample's
views do not depend on the batch it came in, on the device, or on the views of other samples. Two kinds of views that
share an operation and a seed share its draws: `SimCLRViews` and `CropFlip` cut the same first crop.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.component import Component


@dataclass(frozen=True)
class Views(Component):
    """Maps pixels to views. Subclasses say how many (`count`) and write one view (`view`)."""

    @property
    def count(self) -> int:
        """The number of views V of each sample."""
        raise NotImplementedError(f"{type(self).__name__} does not say how many views it gives")

    def view(self, pixels: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """View number `draws.view` of each sample, in [0, 1], on the device of `pixels`, which stays unchanged."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a view is")

    def __call__(self, pixels: Float[Tensor, "n c h w"], ids: Int[np.ndarray, " n"], seed: int, epoch: int) -> Float[Tensor, "n v c h w"]:
        """The V views of each sample, in [0, 1], of pixels in [0, 1] and the samples' ids, in the given epoch (1-based)."""
        with torch.no_grad():
            return torch.stack([self.view(pixels, Draws(seed, ids, epoch, view)) for view in range(self.count)], dim=1)
