"""Eigenvalues, trace and spectral density of a symmetric matrix that is known by its products alone (METRICS 2).

Products are counted in vectors. Randomness comes from generators that the caller names. Bases are kept in float32, or in
the precision that is asked for, and their dot products are float64.
"""

from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from analysis.geometry.products import Product

_COLUMNS = 1 << 16  # of a basis that are made float64 together
_NUMBERS = 1 << 24  # in the vectors that are multiplied together
_SMALL = 1e-10  # of the largest eigenvalue: a remainder so short is rounding
_ROUNDING = 1e-6  # of a vector that lies in a span: what rounding leaves of it


class Ritz(NamedTuple):
    """What Lanczos knows after a step: Ritz values in rising order, their residuals, and the squares of their first components."""

    values: Float64[np.ndarray, " j"]
    residuals: Float64[np.ndarray, " j"]
    weights: Float64[np.ndarray, " j"]


def lanczos(product: Product, start: Float64[Tensor, " p"], steps: int, dtype: torch.dtype = torch.float32) -> Iterator[Ritz]:
    """At most `steps` steps with full re-orthogonalisation, in two passes; ends early when the space that `start` spans is exhausted.

    Eigenvalues that are equal to the last bit are found once.
    """
    limit = min(steps, len(start))
    basis = torch.empty(limit, len(start), dtype=dtype, device=start.device)  # memory that is not written to is not taken
    vector, diagonal, beside = start / start.norm(), list[float](), list[float]()
    for step in range(limit):
        basis[step] = vector
        moved = product(basis[step].double()[None])[0]
        diagonal.append((basis[step].double() @ moved).item())
        moved = without(basis[: step + 1], without(basis[: step + 1], moved))
        length = moved.norm().item()
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        yield Ritz(values, length * np.abs(vectors[-1]), vectors[0] ** 2)
        if length <= _SMALL * np.abs(values).max():
            return
        beside.append(length)
        vector = moved / length


def largest_known(ritz: Ritz, top: int, tolerance: float) -> bool:
    """Whether each of the `top` largest has a residual below `tolerance` of itself."""
    known = ritz.residuals < tolerance * np.abs(ritz.values)
    return len(known) >= top and bool(known[-top:].all())


def smallest_known(ritz: Ritz, tolerance: float) -> bool:
    """Whether the smallest has a residual below `tolerance` of the largest in size."""
    return bool(ritz.residuals[0] < tolerance * np.abs(ritz.values).max())


class Traced(NamedTuple):
    """The trace of a matrix with its standard error, and those of its diagonal blocks.

    `blocks` [m, b] holds m estimates of every block's trace, so that any sum over blocks has its error, too.
    """

    trace: float
    error: float
    blocks: Float64[np.ndarray, "m b"]


def trace(
    product: Product,
    draw: Callable[[], Float64[Tensor, " p"]],
    products: int,
    sizes: Sequence[int],
    dtype: torch.dtype = torch.float32,
) -> Traced:
    """Hutch++ with 30 products or more, Hutchinson's estimator with fewer; each `draw()` is another vector of +1 and -1.

    Hutch++ takes a third of the products to find where the matrix is large, a third to take the trace there exactly, and
    a third to estimate the rest (Meyer, Musco, Musco and Woodruff, 2021). `sizes` of the blocks add up to P.
    """
    third = products // 3 if products >= 30 else 0
    basis = _span(product, draw, third, sum(sizes), dtype)
    inside = np.zeros(len(sizes))
    for rows in _together(basis):
        inside += _by_block(rows, product(rows.double()), sizes).sum(axis=0)
    outside, blocks = list[float](), list[np.ndarray]()
    for numbers in range(products - 2 * third, 0, -_rows(sum(sizes))):
        probes = torch.stack([draw() for _ in range(min(numbers, _rows(sum(sizes))))])
        rest = torch.stack([without(basis, probe) for probe in probes])
        moved = product(rest)
        outside += (rest * moved).sum(dim=1).tolist()
        blocks.append(inside + _by_block(probes, moved, sizes))
    error = np.std(outside, ddof=1) / sqrt(len(outside))
    return Traced(float(inside.sum() + np.mean(outside)), float(error), np.concatenate(blocks))


def _span(product: Product, draw: Callable[[], Tensor], count: int, size: int, dtype: torch.dtype) -> Tensor:
    """Orthonormal rows that span what the matrix makes of `count` draws."""
    basis = torch.empty(0, size, dtype=dtype)
    for start in range(0, count, _rows(size)):
        for moved in product(torch.stack([draw() for _ in range(min(count - start, _rows(size)))])):
            basis = basis.to(moved.device)
            rest = without(basis, without(basis, moved))
            if rest.norm() > _ROUNDING * moved.norm():
                basis = torch.cat([basis, (rest / rest.norm())[None].to(dtype)])
    return basis


def _rows(size: int) -> int:
    """How many vectors go through the network together."""
    return max(1, _NUMBERS // size)


def _together(basis: Tensor) -> tuple[Tensor, ...]:
    return basis.split(_rows(basis.shape[1])) if len(basis) else ()


def density(
    nodes: Float[np.ndarray, "n m"], weights: Float[np.ndarray, "n m"], at: Float[np.ndarray, " g"], width: float
) -> Float[np.ndarray, " g"]:
    """The density of eigenvalues at points, of the quadratures of n probes [n, m] under a Gaussian kernel of deviation `width`.

    Each probe's weights add up to 1; so the density integrates to 1. Pass nodes and points on any one scale.
    """
    kernels = np.exp(-(((at[:, None, None] - nodes) / width) ** 2) / 2) / (width * sqrt(2 * np.pi))
    total: np.ndarray = (weights * kernels).sum(axis=(1, 2)) / len(nodes)
    return total


def without(basis: Float[Tensor, "k p"], vector: Float64[Tensor, " p"]) -> Float64[Tensor, " p"]:
    """The vector less its part in the span of the orthonormal rows of `basis`."""
    parts = [slice(first, first + _COLUMNS) for first in range(0, len(vector), _COLUMNS)]
    along = torch.stack([basis[:, part].double() @ vector[part] for part in parts]).sum(dim=0)
    return torch.cat([vector[part] - along @ basis[:, part].double() for part in parts])


def _by_block(left: Tensor, right: Tensor, sizes: Sequence[int]) -> np.ndarray:
    """Dot products of rows, block by block: [k, blocks]."""
    pairs = zip(left.split(list(sizes), dim=1), right.split(list(sizes), dim=1), strict=True)
    return torch.stack([(a.double() * b).sum(dim=1) for a, b in pairs], dim=1).cpu().numpy()
