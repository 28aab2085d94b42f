"""What turns a batch of images into the views that a loss compares.

Every draw is named by (seed, purpose, epoch, sample id, view) and made on the CPU (`contrast/random.py`), so a sample's
views do not depend on the batch it came in, on the device, or on the views of other samples. Two kinds of views that
share an operation and a seed share its draws: the only view of `CropFlip` is cut as the first of `SimCLRViews` is.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import Component

MOST_VIEWS = 256


@dataclass(frozen=True)
class Views(Component, ABC):
    """Maps pixels to views. Subclasses say how many (`count`) and make them (`__call__`)."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of views V of each sample."""

    @abstractmethod
    def __call__(self, pixels: Float[Tensor, "n c h w"], ids: Int[np.ndarray, " n"], seed: int, epoch: int) -> Float[Tensor, "n v c h w"]:
        """The V views in [0, 1] of pixels in [0, 1], on their device and without changing them.

        `ids` are the samples' ids (`Images.ids`); equal (seed, epoch, id) give equal views in any batch.
        """
