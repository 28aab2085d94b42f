"""AutoAugment, the policy called v0 of the reference code for ImageNet (Cubuk et al., 2019; PROTOCOL 1.5)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from contrast.augmentations.draws import Draws
from contrast.augmentations.levels import (
    Operation,
    Strength,
    autocontrasted,
    coloured,
    equalized,
    inverted,
    posterized,
    rotated,
    sheared_x,
    sheared_y,
    shifted_y,
    solarize_added,
    solarized,
)
from contrast.augmentations.rows import on_rows_
from contrast.augmentations.transform import Transform

# Each line is a pair of operations with probability and level; one pair is drawn for each view.
POLICY: tuple[tuple[tuple[Operation, float, int], tuple[Operation, float, int]], ...] = (
    ((equalized, 0.8, 1), (sheared_y, 0.8, 4)),
    ((coloured, 0.4, 9), (equalized, 0.6, 3)),
    ((coloured, 0.4, 1), (rotated, 0.6, 8)),
    ((solarized, 0.8, 3), (equalized, 0.4, 7)),
    ((solarized, 0.4, 2), (solarized, 0.6, 2)),
    ((coloured, 0.2, 0), (equalized, 0.8, 8)),
    ((equalized, 0.4, 8), (solarize_added, 0.8, 3)),
    ((sheared_x, 0.2, 9), (rotated, 0.6, 8)),
    ((coloured, 0.6, 1), (equalized, 1.0, 2)),
    ((inverted, 0.4, 9), (rotated, 0.6, 0)),
    ((equalized, 1.0, 9), (sheared_y, 0.6, 3)),
    ((coloured, 0.4, 7), (equalized, 0.6, 0)),
    ((posterized, 0.4, 6), (autocontrasted, 0.4, 7)),
    ((solarized, 0.6, 8), (coloured, 0.6, 9)),
    ((solarized, 0.2, 4), (rotated, 0.8, 9)),
    ((rotated, 1.0, 7), (shifted_y, 0.8, 9)),
    ((sheared_x, 0.0, 0), (solarized, 0.8, 4)),
    ((sheared_y, 0.8, 0), (coloured, 0.6, 4)),
    ((coloured, 1.0, 0), (rotated, 0.6, 2)),
    ((equalized, 0.8, 4), (equalized, 0.0, 8)),
    ((equalized, 1.0, 4), (autocontrasted, 0.6, 2)),
    ((sheared_y, 0.4, 7), (solarize_added, 0.6, 7)),
    ((posterized, 0.8, 2), (solarized, 0.6, 10)),
    ((solarized, 0.6, 8), (equalized, 0.6, 1)),
    ((coloured, 0.8, 6), (rotated, 0.4, 5)),
)


@dataclass(frozen=True)
class AutoAugment(Transform):
    """One of 25 pairs of operations for each view, each operation of the pair with its own probability and level."""

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        pair, applied, sign = random_pairs(draws)
        for place in range(2):
            operations = [line[place][0] for line in POLICY]
            levels = np.array([float(line[place][2]) for line in POLICY])
            for operation in dict.fromkeys(operations):
                chosen = np.array([other is operation for other in operations])
                rows = np.flatnonzero(chosen[pair] & applied[:, place])
                some = Strength(levels[pair[rows]], sign[rows, place], np.zeros((len(rows), 2)))
                on_rows_(x, rows, lambda images, operation=operation, some=some: operation(images, some))  # type: ignore[misc]
        return x


def random_pairs(draws: Draws) -> tuple[Int[np.ndarray, " n"], np.ndarray, np.ndarray]:
    """Each row's pair, which of its two operations are applied (bool [n, 2]), and the signs of these [n, 2]."""
    numbers = draws.uniform("auto_augment", 5)
    pair = np.floor(numbers[:, 0] * len(POLICY)).astype(np.int64)
    probability = np.array([[step[1] for step in line] for line in POLICY])[pair]
    return pair, numbers[:, 1:3] < probability, np.where(numbers[:, 3:] < 0.5, -1.0, 1.0)
