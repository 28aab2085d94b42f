"""A square grid around a solution: its points, the order in which they are visited, and what is read off its loss surface."""

from collections.abc import Sequence
from math import nan, pi, sqrt
from statistics import fmean as mean

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int64

RADIUS = 0.5
_ANGLES, _RADII = 128, 256


def grid(points: int, span: float) -> Float[np.ndarray, " p"]:
    """`points` equally spaced numbers from -span to span, the middle one exactly 0, symmetric to the last bit."""
    return span * (2 * np.arange(points) - (points - 1)) / (points - 1)


def strides(points: int) -> list[int]:
    """Steps of ever finer lattices in a grid of `points` (odd) a side, each a part of the one before: 25, 5, 1 of 51.

    The first lattice is 3 x 3, the middle and the rim; the last is the grid.
    """
    found = [(points - 1) // 2]
    while (last := found[-1]) > 1:
        found.append(last // next(p for p in range(2, last + 1) if last % p == 0))
    return found


def nests(points: int) -> list[Int64[np.ndarray, "n 2"]]:
    """The places (i, j) of the grid, those of the coarsest lattice first, then those that each finer one adds, row by row."""
    fresh, found = np.ones((points, points), dtype=bool), []
    for stride in strides(points):
        lattice = np.zeros_like(fresh)
        lattice[::stride, ::stride] = True
        found.append(np.argwhere(lattice & fresh))
        fresh &= ~lattice
    return found


def refined(surface: Float[np.ndarray, "p p"]) -> Float[np.ndarray, "p p"]:
    """The surface with what is not measured yet (NaN) put between the points of the finest lattice that is complete, bilinearly.

    Raises `ValueError` where not even the coarsest is.
    """
    points = len(surface)
    whole = [stride for stride in strides(points) if not np.isnan(surface[::stride, ::stride]).any()]
    if not whole:
        raise ValueError("surface: must hold the points of the coarsest lattice")
    ticks, places = np.arange(0, points, whole[-1]), np.arange(points)
    between = scipy.interpolate.RegularGridInterpolator((ticks, ticks), surface[:: whole[-1], :: whole[-1]])
    filled: np.ndarray = between(np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1))
    return np.where(np.isnan(surface), filled, surface)


def loss_on_rings(
    surface: Float[np.ndarray, "p p"], alphas: Float[np.ndarray, " p"], radii: Float[np.ndarray, " r"]
) -> Float[np.ndarray, "r a"]:
    """The surface on rings around the centre, at 128 equally spaced angles, bilinear between grid points."""
    angles = 2 * pi * np.arange(_ANGLES) / _ANGLES
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    inside = np.clip(radii[:, None, None] * ring, alphas[0], alphas[-1])  # rounding must not leave the grid
    values: np.ndarray = scipy.interpolate.RegularGridInterpolator((alphas, alphas), surface)(inside)
    return values


def radius_of_rise(rings: Float[np.ndarray, "r a"], span: float, level: float) -> float:
    """Mean over the angles of the radius where the loss first reaches `level`, `span` where it never does.

    `rings` are equally spaced from the centre to `span`; between two of them the loss is taken as linear.
    """
    radii = np.linspace(0, span, len(rings))
    reached: Bool[np.ndarray, "r a"] = rings >= level
    first = reached.argmax(axis=0)
    columns = np.arange(rings.shape[1])
    before, after = rings[np.maximum(first - 1, 0), columns], rings[first, columns]
    part = np.where(first > 0, (level - before) / np.where(after > before, after - before, 1), 0)
    crossing = radii[first] - (1 - part) * np.where(first > 0, radii[1], 0)
    return float(np.where(reached.any(axis=0), crossing, span).mean())


def summary(
    surfaces: Float[np.ndarray, "k p p"], alphas: Float[np.ndarray, " p"], centre: float, ceiling: float
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """What K surfaces around one solution say, and the arrays that their picture is drawn from.

    `surfaces` is infinite or NaN where a point is only known to lie above `ceiling`, for which it is taken; `centre` is the
    exact loss of the solution. Results: `flatness` and `radius_rise_1`, means over the surfaces (NaN of a solution above the
    ceiling, where nothing is seen, and the radius of one within 1 nat of it, too), and for K > 1 their standard errors
    `flatness_se` and `radius_rise_1_se`; `loss_at_centre`; `clipped_share`. Arrays: `surface`, the
    mean, `clipped` in any of them, `alphas`, and for K > 1 `spread`, the standard deviation.
    """
    clipped = ~(surfaces <= ceiling)
    known = np.where(clipped, ceiling, surfaces)
    seen, span, level = centre < ceiling, float(alphas[-1]), centre + 1
    flatness = [float(loss_on_rings(one, alphas, np.array([RADIUS])).mean() - centre) if seen else nan for one in known]
    radii = np.linspace(0, span, _RADII + 1)
    rise = [radius_of_rise(loss_on_rings(one, alphas, radii), span, level) if level <= ceiling else nan for one in known]
    results = {"flatness": mean(flatness), "loss_at_centre": centre, "radius_rise_1": mean(rise)}
    arrays = {"surface": known.mean(axis=0), "clipped": clipped.any(axis=0), "alphas": alphas}
    if len(surfaces) > 1:
        results |= {"flatness_se": standard_error(flatness), "radius_rise_1_se": standard_error(rise)}
        arrays["spread"] = known.std(axis=0, ddof=1)
    return {**results, "clipped_share": float(clipped.mean())}, arrays


def standard_error(values: Sequence[float]) -> float:
    """Of the mean of two independent values or more."""
    return float(np.std(values, ddof=1)) / sqrt(len(values))
