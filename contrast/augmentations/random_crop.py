"""Random crops of a fixed size out of an image with a margin of black."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from contrast.augmentations.draws import Draws
from contrast.augmentations.transform import Transform
from contrast.component import MOST_PIXELS, UserError, require_count


@dataclass(frozen=True)
class RandomCrop(Transform):
    """A square of `side` pixels (1 to 4096) at a uniformly drawn place of the image with `padding` black pixels (0 to 4096) around it."""

    side: int = 32
    padding: int = 4

    def __post_init__(self) -> None:
        require_count(self, "side", MOST_PIXELS, "Use the side of the images.")
        require_count(self, "padding", MOST_PIXELS, "Use 4 for images of 32 pixels.", least=0)

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c i j"]:
        """See `Transform`. Raises `UserError` for images smaller than the crop."""
        wide = pad(x, (self.padding,) * 4)
        room = wide.shape[2] - self.side, wide.shape[3] - self.side
        if min(room) < 0:
            found = f"images of {x.shape[2]} x {x.shape[3]} pixels with padding {self.padding}"
            raise UserError(f"RandomCrop.side = {self.side}: must not be larger than the padded image, and got {found}. Lower side.")
        return crops(wide, random_corners(room, draws), self.side)


def random_corners(room: tuple[int, int], draws: Draws) -> Int[np.ndarray, "n 2"]:
    """Each row's upper left corner (row, column), uniform from 0 to `room` of each direction, both included."""
    corners: np.ndarray = np.floor(draws.uniform("random_crop", 2) * (np.array(room) + 1)).astype(np.int64)
    return corners


def crops(x: Float[Tensor, "n c h w"], corners: Int[np.ndarray, "n 2"], side: int) -> Float[Tensor, "n c i j"]:
    """Each image's own square of `side` pixels with the corner given for it."""
    top, left = torch.from_numpy(corners).to(x.device).unbind(1)
    along = torch.arange(side, device=x.device)
    rows = (top[:, None] + along)[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3])
    columns = (left[:, None] + along)[:, None, None, :].expand(-1, x.shape[1], side, -1)
    return x.gather(2, rows).gather(3, columns)
