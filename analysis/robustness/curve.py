"""A curve of accuracy over attack radii, as named numbers."""

from collections.abc import Sequence

import numpy as np


def levels(eps: Sequence[float], accuracy: Sequence[float], per_level: float) -> dict[str, float]:
    """`eps_<k>` for every radius, where k = eps * per_level: 8/255 at 255 levels is `eps_8`."""
    return {f"eps_{radius * per_level:g}": value for radius, value in zip(eps, accuracy, strict=True)}


def area(eps: Sequence[float], accuracy: Sequence[float]) -> float:
    """Area under the curve over the range of radii, by trapezoids: a mean accuracy, in the accuracy's unit."""
    if len(eps) == 1:
        return accuracy[0]
    return float(np.trapezoid(accuracy, eps) / (eps[-1] - eps[0]))
