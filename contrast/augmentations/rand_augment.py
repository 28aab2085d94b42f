"""RandAugment: a few operations, drawn anew for each view, all of one strength (Cubuk et al., 2020)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations import levels
from contrast.augmentations.draws import Draws
from contrast.augmentations.levels import Operation, Strength
from contrast.augmentations.rows import on_rows_
from contrast.augmentations.transform import Transform
from contrast.component import require, require_count

CHOICES: tuple[Operation, ...] = (
    *(levels.autocontrasted, levels.equalized, levels.inverted, levels.rotated, levels.posterized, levels.solarized),
    *(levels.coloured, levels.contrasted, levels.brightened, levels.sharpened, levels.sheared_x, levels.sheared_y),
    *(levels.shifted_x, levels.shifted_y, levels.cut_out, levels.solarize_added),
)


@dataclass(frozen=True)
class RandAugment(Transform):
    """`layers` operations one after the other (1 to 100), each one of 16, equally likely, at level `magnitude`, 0 to 30.

    Turns, shears and shifts go to either side with probability 1/2. The library's defaults are 2 and 10; the scripts of the
    SupCon paper pass 1.0 as the magnitude (PROTOCOL 1.5).
    """

    layers: int = 2
    magnitude: float = 10.0

    def __post_init__(self) -> None:
        require_count(self, "layers", 100, "Use 2, as the reference does.")
        require(0 <= self.magnitude <= 30, self, "magnitude", "must be from 0 to 30", "Use 10, as the reference does.")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        choices, strengths = random_layers(self.layers, self.magnitude, draws)
        for choice, strength in zip(choices, strengths, strict=True):
            for number, operation in enumerate(CHOICES):
                rows = np.flatnonzero(choice == number)
                some = strength.take(rows)
                on_rows_(x, rows, lambda chosen, operation=operation, some=some: operation(chosen, some))  # type: ignore[misc]
        return x


def random_layers(layers: int, magnitude: float, draws: Draws) -> tuple[list[Int[np.ndarray, " n"]], list[Strength]]:
    """For each layer the number of each row's operation and its strength."""
    numbers = draws.uniform("rand_augment", 4 * layers).reshape(-1, layers, 4).transpose(1, 0, 2)
    choices = [np.floor(layer[:, 0] * len(CHOICES)).astype(np.int64) for layer in numbers]
    level = np.full(numbers.shape[1], float(magnitude))
    return choices, [Strength(level, np.where(layer[:, 1] < 0.5, -1.0, 1.0), layer[:, 2:]) for layer in numbers]
