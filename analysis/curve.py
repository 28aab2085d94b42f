"""A curve of accuracy, over attack radii or whatever else, as named numbers."""

from collections.abc import Iterable, Sequence

import numpy as np

from contrast.data.dataset import Dataset


def levels(eps: Sequence[float], accuracy: Sequence[float], per_level: float) -> dict[str, float]:
    """`eps_<k>` for every radius, where k = eps * per_level: 8/255 at 255 levels is `eps_8`."""
    return {f"eps_{radius * per_level:g}": value for radius, value in zip(eps, accuracy, strict=True)}


def area(eps: Sequence[float], accuracy: Sequence[float]) -> float:
    """Area under the curve over the range of radii, by trapezoids: a mean accuracy, in the accuracy's unit."""
    if len(eps) == 1:
        return accuracy[0]
    return float(np.trapezoid(accuracy, eps) / (eps[-1] - eps[0]))


def chance(tasks: Iterable[Dataset]) -> float | None:
    """Accuracy of guessing, in per cent, where all tasks have equally many classes."""
    counts = {task.num_classes for task in tasks}
    return 100 / counts.pop() if len(counts) == 1 else None
