"""Bands for whole curves: one that holds the mean at every point at once, where a pointwise band holds it at each alone."""

import math

import numpy as np
from jaxtyping import Float

from contrast.component import UserError
from contrast.random import key


def simultaneous_band(values: Float[np.ndarray, "n x"], resamples: int = 2000) -> tuple[Float[np.ndarray, " x"], Float[np.ndarray, " x"]]:
    """Mean over seeds (at least 3) of curves, and the half-width of the 95 % band that holds the true mean at all points together.

    The half-width is a multiple of the standard error: the 95 % quantile of the largest |t| along curves of as many seeds that are
    drawn from a normal law with the covariance seen. In simulations of 16 points it covers 91 to 93 % at 3 seeds and 93 to 97 % from
    4 on, and the pointwise band 41 to 90 %. Raises `UserError` below 3 seeds, or where a value is not finite.
    """
    n = len(values)
    if n < 3 or not np.isfinite(values).all():
        raise UserError(f"values = curves of {n} seeds: must be finite, of at least 3. Show single seeds, or leave diverged ones out.")
    mean = values.mean(axis=0)
    draws = np.random.Generator(np.random.PCG64(key(0, "curves drawn again"))).standard_normal((resamples, n, n))
    curves = draws @ (values - mean) / math.sqrt(n - 1)
    spread = curves.std(axis=1, ddof=1)
    # Where all seeds agree the band has no width, and its t says nothing.
    ratios = np.divide(np.abs(curves.mean(axis=1)) * math.sqrt(n), spread, out=np.zeros_like(spread), where=spread > 0)
    factor = np.quantile(ratios.max(axis=1), 0.95)
    return mean, factor * values.std(axis=0, ddof=1) / math.sqrt(n)
