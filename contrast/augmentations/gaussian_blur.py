"""Gaussian blur, each image with its own width (PROTOCOL 1.5)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from contrast.augmentations.draws import Draws
from contrast.augmentations.rows import on_rows_
from contrast.augmentations.transform import Transform
from contrast.component import require


@dataclass(frozen=True)
class GaussianBlur(Transform):
    """With probability `p` a blur whose deviation is uniform in `sigma`, in pixels, by a kernel of a tenth of the image's height.

    The kernel has an odd number of pixels, the next above an even one: 3 for images of 32, 23 for 224; below 20 there is no blur.
    """

    p: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        require(0 <= self.p <= 1, self, "p", "must be from 0 to 1", "Use 0.5, as SimCLR does.")
        require(0 < self.sigma[0] <= self.sigma[1], self, "sigma", "must be (smallest, largest), above 0", "Use (0.1, 2.0).")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        applied, sigma = random_blurs(self.p, self.sigma, draws)
        rows = np.flatnonzero(applied)
        return on_rows_(x, rows, lambda images: gaussian_blur(images, sigma[rows], kernel_size(x.shape[2])))


def kernel_size(height: int) -> int:
    """The odd number of pixels of the kernel for images of `height`."""
    return height // 10 // 2 * 2 + 1


def random_blurs(p: float, sigma: tuple[float, float], draws: Draws) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Which rows are blurred, and their deviations."""
    numbers = draws.uniform("gaussian_blur", 2)
    return numbers[:, 0] < p, sigma[0] + numbers[:, 1] * (sigma[1] - sigma[0])


def gaussian_blur(x: Float[Tensor, "n c h w"], sigma: Float[np.ndarray, " n"], size: int) -> Float[Tensor, "n c h w"]:
    """Each image blurred by its own `sigma`, edges reflected; equals torchvision's with a kernel of `size` (odd) pixels a side."""
    half = size // 2
    places = np.arange(size) - half
    weights = np.exp(-0.5 * (places / sigma[:, None]) ** 2)
    weights /= weights.sum(1, keepdims=True)
    taps = torch.from_numpy(weights).to(x.device, x.dtype)[..., None, None, None].unbind(1)
    wide, across = pad(x, (half, half, 0, 0), mode="reflect"), torch.zeros_like(x)
    for i, tap in enumerate(taps):
        across.addcmul_(wide[..., i : i + x.shape[3]], tap)
    tall, out = pad(across, (0, 0, half, half), mode="reflect"), torch.zeros_like(x)
    for i, tap in enumerate(taps):
        out.addcmul_(tall[..., i : i + x.shape[2], :], tap)
    return out
