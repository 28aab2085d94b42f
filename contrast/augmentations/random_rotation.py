"""Random turns about the centre."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from contrast.augmentations.affine import affine, rotations
from contrast.augmentations.draws import Draws
from contrast.augmentations.transform import Transform
from contrast.component import require


@dataclass(frozen=True)
class RandomRotation(Transform):
    """A turn by an angle uniform within `degrees` (0 to 180) to either side, by the nearest pixel; the uncovered corners are black."""

    degrees: float = 15.0

    def __post_init__(self) -> None:
        require(0 <= self.degrees <= 180, self, "degrees", "must be from 0 to 180", "Use 15, as Core-tuning does.")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        return affine(x, rotations(random_angles(self.degrees, draws)), 0.0)


def random_angles(degrees: float, draws: Draws) -> Float[np.ndarray, " n"]:
    """Angles in degrees, uniform from -`degrees` to `degrees`."""
    return (2 * draws.uniform("random_rotation", 1)[:, 0] - 1) * degrees
