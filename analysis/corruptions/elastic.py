"""Elastic deformation: an affine map and a smooth field of shifts, each image its own."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from analysis.corruptions.borders import mirror, sampled, smooth, symmetric
from analysis.corruptions.draws import Draws, Table

# In sides of the image: size of the shifts before smoothing, deviation of the smoothing, reach of the affine map.
_CIFAR = ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
_IMAGENET = ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
_SLIP = 244 / 224  # the published set of 224 pixels was made with 244 for the side
_AROUND = ((1.0, 1.0), (1.0, -1.0), (-1.0, -1.0))

Batch = Float[Tensor, "n c h w"]


def elastic_transform(x: Batch, severity: int, table: Table, draws: Draws) -> Batch:
    """Three points are moved at random and the image follows; then every pixel is moved a little, together with those near it."""
    height, width = x.shape[2:]
    side = min(height, width) * (_SLIP if table == "imagenet" else 1.0)
    shift, sigma, reach = (side * part for part in (_IMAGENET if table == "imagenet" else _CIFAR)[severity - 1])
    x = _affine(x, reach * (2 * draws.uniform("points", 3, 2) - 1).to(x.device))
    fields = 2 * draws.uniform("shifts", 2, height, width).to(x.device) - 1
    across, down = (shift * smooth(fields, sigma, 3.0, symmetric)).unbind(1)
    rows, columns = _places(x)
    return sampled(x, rows + down, columns + across, symmetric)


def _affine(x: Batch, moves: Float64[Tensor, "n 3 2"]) -> Float64[Tensor, "n c h w"]:
    """x under the affine map that takes three points (column, row) around its middle to where `moves` take them."""
    height, width = x.shape[2:]
    middle = torch.tensor([width // 2, height // 2], dtype=torch.float64, device=x.device)
    points = middle + max(1, min(height, width) // 3) * torch.tensor(_AROUND, dtype=torch.float64, device=x.device)
    ones = torch.ones(len(x), 3, 1, dtype=torch.float64, device=x.device)
    back = torch.linalg.solve(torch.cat([points + moves, ones], 2), points.expand(len(x), -1, -1))
    rows, columns = _places(x)
    found = columns[..., None] * back[:, 0, None, None] + rows[..., None] * back[:, 1, None, None] + back[:, 2, None, None]
    return sampled(x, found[..., 1], found[..., 0], mirror)


def _places(x: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of every pixel, float64 [n, h, w]."""
    axes = [torch.arange(size, dtype=torch.float64, device=x.device) for size in x.shape[2:]]
    rows, columns = torch.meshgrid(*axes, indexing="ij")
    return rows.expand(len(x), -1, -1), columns.expand(len(x), -1, -1)
