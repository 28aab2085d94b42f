"""Two classifiers on one set of images: what may be said of these two networks on the population that the images are drawn from.

Not of the methods that trained them: another seed gives other networks, and only several of them speak of the method (`paired`).
Both are reported, and never mixed (METRICS 10, rule 7).
"""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool

from contrast.component import UserError
from contrast.random import key


@dataclass(frozen=True)
class OnImages:
    """The difference of two accuracies, in shares of the images, with the 95 % interval over images.

    `only_first`, `only_second`: images that only one of them has right. `p`: McNemar's exact test, two-sided, that both networks
    are equally often right where they differ; 1 where they never differ.
    """

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float


def on_images(first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " m"], resamples: int = 2000) -> OnImages:
    """Compare who has which of the same images right; raises `UserError` without any, or where one is told of more than the other.

    The interval is a percentile bootstrap over pairs, which are known by how many images each alone has right: one multinomial draw
    a resample.
    """
    n = len(first)
    if n == 0:
        raise UserError("first = []: must say of an image whether it is right. Compare on a data set that has images.")
    if len(second) != n:
        raise UserError(f"second = {len(second)} images: must be the {n} of the first. Compare both on the same data set.")
    ours, theirs = int((first & ~second).sum()), int((second & ~first).sum())
    draws = np.random.Generator(np.random.PCG64(key(0, "images drawn again")))
    counts = draws.multinomial(n, np.array([ours, theirs, n - ours - theirs]) / n, size=resamples)
    low, high = np.quantile((counts[:, 0] - counts[:, 1]) / n, (0.025, 0.975))
    return OnImages((ours - theirs) / n, float(low), float(high), ours, theirs, mcnemar(ours, theirs))


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p of McNemar's test (1947): a fair coin for every image that one of both alone has right."""
    return min(1.0, 2 * float(scipy.special.bdtr(min(only_first, only_second), only_first + only_second, 0.5)))
