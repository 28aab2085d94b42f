"""Sparse warp: a few control points moved at random, the image between them by a thin-plate spline (SimAugment, PROTOCOL 1.5).

The control points are 2 x 2, at the thirds of the image; the edge is held at its corners and thirds.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from contrast.augmentations.draws import Draws
from contrast.augmentations.rows import on_rows_
from contrast.augmentations.transform import Transform
from contrast.component import require

_REFERENCE = 224  # the side of the images for which the largest displacement is stated
_POINTS = 4


@dataclass(frozen=True)
class SparseWarp(Transform):
    """With probability `p` each control point is displaced by a normal vector times a strength common to the image.

    The strength is uniform from 0 to `largest` pixels of an image of 224, in proportion on others (0 or above).
    """

    p: float = 0.5
    largest: float = 23.0

    def __post_init__(self) -> None:
        require(0 <= self.p <= 1, self, "p", "must be from 0 to 1", "Leave the operation out for no warp.")
        require(self.largest >= 0, self, "largest", "must be 0 or above", "Use 23, as SimAugment does.")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        applied, moves = random_moves(self.p, self.largest * x.shape[2] / _REFERENCE, draws)
        rows = np.flatnonzero(applied)
        return on_rows_(x, rows, lambda images: warp(images, moves[rows]))


def random_moves(p: float, largest: float, draws: Draws) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, "n 4 2"]]:
    """Which rows are warped, and the displacement (down, right) in pixels of each of their control points."""
    numbers = draws.uniform("sparse_warp", 2 + 4 * _POINTS)
    radius = np.sqrt(-2 * np.log1p(-numbers[:, 2 : 2 + 2 * _POINTS]))
    normal = radius * np.cos(2 * np.pi * numbers[:, 2 + 2 * _POINTS :])  # Box and Muller's transform
    return numbers[:, 0] < p, (numbers[:, 1, None] * largest * normal).reshape(-1, _POINTS, 2)


def warp(x: Float[Tensor, "n c h w"], moves: Float[np.ndarray, "n 4 2"]) -> Float[Tensor, "n c h w"]:
    """Each image with its control points moved by `moves` (down, right) pixels, bilinear; beyond the edge lies the edge."""
    height, width = x.shape[-2:]
    bases = torch.from_numpy(spline_bases(height, width)).to(x.device, x.dtype)
    down, right = torch.from_numpy(moves).to(x.device, x.dtype)[..., None, None].unbind(2)
    rows, columns = _centred(height, x)[None, :, None], _centred(width, x)[None, None, :]
    for point, base in enumerate(bases):
        rows, columns = rows - base * down[:, point], columns - base * right[:, point]
    grid = torch.stack([columns / (0.5 * width), rows / (0.5 * height)], dim=-1)
    return grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


@lru_cache(maxsize=8)
def spline_bases(height: int, width: int) -> Float[np.ndarray, "4 h w"]:
    """For each control point the thin-plate spline that is 1 there and 0 at the other control points and the held points of the edge."""
    thirds = np.stack(np.meshgrid(np.linspace(0, height - 1, 4), np.linspace(0, width - 1, 4), indexing="ij"), axis=-1)
    inner = np.zeros((4, 4), dtype=bool)
    inner[1:3, 1:3] = True
    points = np.concatenate([thirds[inner], thirds[~inner]]) / max(height, width)
    pixels = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1).reshape(-1, 2) / max(height, width)
    affine = np.column_stack([np.ones(len(points)), points])
    system = np.block([[_thin_plate(points, points), affine], [affine.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.eye(len(system), _POINTS))
    values = np.column_stack([_thin_plate(pixels, points), np.ones(len(pixels)), pixels]) @ weights
    return np.ascontiguousarray(values.T.reshape(_POINTS, height, width))


def _thin_plate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared = ((a[:, None] - b[None]) ** 2).sum(-1)
    bent: np.ndarray = 0.5 * squared * np.log(np.maximum(squared, 1e-300))
    return bent


def _centred(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2
