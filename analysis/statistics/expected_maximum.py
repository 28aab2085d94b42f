"""How good the best of a search is by the number of its trials: methods are compared at equal budgets (Dodge et al., 2019).

Of the search, not of the chosen candidate: its values are those it was chosen by, and flatter it (METRICS 10, rule 9).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from contrast.component import UserError
from contrast.random import key

_POINTS = 64


@dataclass(frozen=True)
class ExpectedMaximum:
    """The expected best of `budgets` [B] trials, and the 95 % band, pointwise, over trials drawn again."""

    budgets: Int64[np.ndarray, " b"]
    mean: Float[np.ndarray, " b"]
    low: Float[np.ndarray, " b"]
    high: Float[np.ndarray, " b"]


def expected_maximum(values: Sequence[float], *, maximize: bool = True, resamples: int = 1000) -> ExpectedMaximum:
    """The mean, over all choices of k of the trials, of the best value of these k; for every k, or 64 of them.

    In closed form, without bias for trials that are drawn independently (Tang et al., 2020); those of a sampler that learns are
    taken as if in random order. A value that is not finite, of a trial that was pruned or diverged, counts as the worst of the
    others. Near the whole number of trials the band is too narrow, since nothing better than the best can be drawn again. Raises
    `UserError` without a finite value.
    """
    sample = np.asarray(values, dtype=float)
    if not np.isfinite(sample).any():
        raise UserError(f"values = {list(values)}: must hold a finite one. Wait until a candidate is complete.")
    sign = 1 if maximize else -1
    sample = sign * np.where(np.isfinite(sample), sample, sign * np.min(sign * sample[np.isfinite(sample)]))
    n = len(sample)
    budgets = np.unique(np.geomspace(1, n, _POINTS).round().astype(np.int64))
    weights = _weights(n, budgets)
    rows = np.random.Generator(np.random.PCG64(key(0, "trials drawn again"))).integers(0, n, (resamples, n))
    low, high = np.quantile(np.sort(sample[rows], axis=1) @ weights, (0.025, 0.975), axis=0)
    low, high = (low, high) if maximize else (-high, -low)
    return ExpectedMaximum(budgets, sign * (np.sort(sample) @ weights), low, high)


def _weights(n: int, budgets: Int64[np.ndarray, " b"]) -> Float[np.ndarray, "n b"]:
    """The chance that the i-th smallest of n is the largest of k that are chosen: (i - 1 over k - 1) / (n over k)."""
    logs = np.array([math.lgamma(i + 1) for i in range(n + 1)])
    below, k = np.arange(n)[:, None], budgets[None, :]
    rest = np.maximum(below - k + 1, 0)
    chance = np.exp(logs[below] - logs[k - 1] - logs[rest] - logs[n] + logs[k] + logs[n - k])
    weights: np.ndarray = np.where(below >= k - 1, chance, 0.0)
    return weights
