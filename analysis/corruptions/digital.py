"""What files do to images: fewer pixels, and JPEG."""

from io import BytesIO

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from analysis.corruptions.draws import Draws, Table

_PIXELS = {"cifar": (0.95, 0.9, 0.85, 0.75, 0.65), "imagenet": (0.6, 0.5, 0.4, 0.3, 0.25)}
_QUALITY = {"cifar": (80, 65, 58, 50, 40), "imagenet": (25, 18, 15, 10, 7)}

Batch = Float[Tensor, "n c h w"]


def pixelate(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Scaled down by means of boxes, and up again to blocks, both as PIL does, which rounds to levels after each axis."""
    share = _PIXELS[table][severity - 1]
    levels = (x.double() * 255).round()
    for axis in (3, 2):
        levels = _boxed(levels.transpose(axis, 3), max(1, int(x.shape[axis] * share))).transpose(axis, 3)
    for axis in (3, 2):
        levels = levels.index_select(axis, _nearest(x.shape[axis], levels.shape[axis]).to(x.device))
    return levels / 255


def jpeg(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Written as JPEG and read again, image by image, by PIL; the colours of two by two pixels are one, as by its default."""
    levels = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    read = [_written_and_read(image, _QUALITY[table][severity - 1]) for image in levels]
    return torch.from_numpy(np.stack(read)).to(x.device).permute(0, 3, 1, 2).float() / 255


def _boxed(levels: Tensor, size: int) -> Tensor:
    """The last axis in `size` means of the pixels whose centres lie in each box, rounded half up."""
    whole = levels.shape[3]
    edges = torch.arange(size, dtype=torch.float64)[:, None] * (whole / size)
    centres = torch.arange(whole) + 0.5
    inside = ((centres > edges) & (centres <= edges + whole / size)).double().to(levels.device)
    return (levels @ inside.T / inside.sum(1) + 0.5).floor()


def _nearest(size: int, of: int) -> Tensor:
    """For each of `size` pixels the one of `of` that covers its centre."""
    return ((torch.arange(size, dtype=torch.float64) + 0.5) * (of / size)).floor().long()


def _written_and_read(image: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file)).reshape(image.shape)
