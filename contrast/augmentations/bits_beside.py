"""Views of images that carry random bits in their last channels: the bits are left as they are (PROTOCOL 8.4)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.views import Views
from contrast.component import UserError, require


@dataclass(frozen=True)
class BitsBeside(Views):
    """The views that `of` makes of all but the last `bits` channels (0 or above), with these appended unchanged.

    For `RandomBits(bits=...)`, whose channels are of one value all over the image. With 0 bits the views are those of `of`.
    """

    of: Views
    bits: int

    def __post_init__(self) -> None:
        require(self.bits >= 0, self, "bits", "must be 0 or above", "Use the number of bits of the data.")

    @property
    def count(self) -> int:
        """As many as `of` makes."""
        return self.of.count

    @torch.no_grad()
    def __call__(self, pixels: Float[Tensor, "n c h w"], ids: Int[np.ndarray, " n"], seed: int, epoch: int) -> Float[Tensor, "n v c i j"]:
        """Views of each image; see `Views`. Raises `UserError` for images of no more channels than bits."""
        channels = pixels.shape[1] - self.bits
        if channels < 1:
            raise UserError(f"BitsBeside.bits = {self.bits}: must be below the images' {pixels.shape[1]} channels. Use RandomBits data.")
        views = self.of(pixels[:, :channels], ids, seed, epoch)
        bits = pixels[:, None, channels:, :1, :1].expand(-1, views.shape[1], -1, *views.shape[3:])
        return torch.cat([views, bits], dim=2)
