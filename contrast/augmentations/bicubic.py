"""Bicubic crops: each image's own box scaled to the size of the image, by Keys' kernel with a = -1/2, as PIL's and TensorFlow's.

Beyond the box the kernel is cut off and its rest scaled up to 1, so nothing outside the box is read.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

_TAPS = 4


def bicubic_crop(x: Float[Tensor, "n c h w"], boxes: Int[np.ndarray, "n 4"]) -> Float[Tensor, "n c h w"]:
    """Boxes (top, left, height, width) scaled up to the size of the image, clipped to [0, 1].

    Equals torchvision's `resized_crop(..., interpolation=BICUBIC, antialias=True)`, since no box is larger than the image.
    """
    tall = _along_rows(x.contiguous(), *_taps(boxes[:, 0], boxes[:, 2], x.shape[2]))
    turned = tall.transpose(2, 3).contiguous()
    return _along_rows(turned, *_taps(boxes[:, 1], boxes[:, 3], x.shape[3])).transpose(2, 3).contiguous().clamp_(0, 1)


def _along_rows(
    x: Float[Tensor, "n c h w"], places: Int[np.ndarray, "4 n h"], weights: Float[np.ndarray, "4 n h"]
) -> Float[Tensor, "n c h w"]:
    """Each row of the output as the weighted sum of four rows of the input, which are copied whole."""
    n, channels, height, width = x.shape
    firsts = (np.arange(n)[:, None] * channels + np.arange(channels))[..., None] * height
    flat, out = x.view(-1, width), torch.zeros_like(x)
    for tap in range(_TAPS):
        index = torch.from_numpy((firsts + places[tap][:, None]).ravel()).to(x.device)
        weight = torch.from_numpy(weights[tap]).to(x.device, x.dtype)[:, None, :, None]
        out.addcmul_(flat.index_select(0, index).view(x.shape), weight)
    return out


def _taps(start: np.ndarray, length: np.ndarray, size: int) -> tuple[Int[np.ndarray, "4 n size"], Float[np.ndarray, "4 n size"]]:
    """Which four pixels each output pixel reads along one direction, and with which weights."""
    position = (np.arange(size) + 0.5) * length[:, None] / size - 0.5
    first = np.floor(position).astype(np.int64) - 1
    places = first[None] + np.arange(_TAPS)[:, None, None]
    inside = (places >= 0) & (places < length[:, None])
    weights = np.where(inside, _keys(np.abs(position[None] - places)), 0.0)
    return start[:, None] + np.clip(places, 0, length[:, None] - 1), weights / weights.sum(0)


def _keys(distance: np.ndarray) -> np.ndarray:
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
