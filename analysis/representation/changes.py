"""Changes of images that a representation may know of or have forgotten: which one an image is given follows from its id (PROTOCOL 4.4).

SimCLR asked them of its representation before and behind the projection head (Chen et al., 2020, section 4.2).
"""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor
from torch.nn.functional import conv2d, pad

from contrast import random
from contrast.augmentations.grayscale import luma

Change = Literal["rotation", "color", "noise", "sobel"]
NOISE = 0.1  # standard deviation, of a pixel range of 1


_SHARES: dict[Change, tuple[float, ...]] = {  # of each way to be changed; the first is the image as it is
    "rotation": (0.25, 0.25, 0.25, 0.25),
    "color": (0.8, 0.2),
    "noise": (0.5, 0.5),
    "sobel": (0.5, 0.5),
}


def chance(change: Change) -> float:
    """The accuracy, in percent, of whoever does not see the image: the share of the most frequent class."""
    return 100 * max(_SHARES[change])


def classes(change: Change) -> int:
    """How many ways there are to be changed, the image as it is among them."""
    return len(_SHARES[change])


def drawn(change: Change, ids: Int[np.ndarray, " n"], seed: int) -> Int64[Tensor, " n"]:
    """How each image is changed: a quarter turn 0 to 3 times, or 1 if it is made grey, noisy or a picture of its edges, 0 if not."""
    number = random.uniform(seed, f"change of {change}", ids, 1)[:, 0]
    bounds = np.cumsum(_SHARES[change])[:-1]
    return torch.from_numpy(np.searchsorted(bounds, number, side="right"))


def changed(pixels: Float[Tensor, "n c h w"], ids: Int[np.ndarray, " n"], change: Change, seed: int) -> Float[Tensor, "n c h w"]:
    """A copy of pixels in [0, 1] in which each image is changed as `drawn` says."""
    how, out = drawn(change, ids, seed), pixels.clone()
    for which in range(1, classes(change)):
        rows = torch.nonzero(how == which)[:, 0]
        if len(rows):
            out[rows.to(out.device)] = _one(pixels[rows.to(out.device)], ids[rows.numpy()], change, which, seed)
    return out


def _one(x: Tensor, ids: np.ndarray, change: Change, which: int, seed: int) -> Tensor:
    if change == "rotation":
        return torch.rot90(x, which, (2, 3))
    if change == "color":
        return luma(x)[:, None].expand_as(x)
    if change == "sobel":
        return edges(x)
    noise = random.normal(seed, "noise", ids, math.prod(x.shape[1:]))
    return (x + NOISE * torch.from_numpy(noise).to(x).view_as(x)).clamp(0, 1)


def edges(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """The length of Sobel's gradient of the brightness, per pixel, at most 1, in every channel; the border is continued."""
    down = x.new_tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])
    gradient = conv2d(pad(luma(x)[:, None], (1, 1, 1, 1), mode="replicate"), torch.stack([down, down.T])[:, None])
    return gradient.square().sum(dim=1, keepdim=True).sqrt().clamp(max=1).expand_as(x)
