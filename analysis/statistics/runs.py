"""Many runs at once, seeds by tasks: the interquartile mean and the performance profile (Agarwal et al., 2021), by whole seeds.

A seed's tasks stand or fall together. Drawing runs one by one, stratified by task, covers 69 % of the nominal 95 at 4 seeds and 4
tasks; here whole seeds are drawn, and the bootstrap is studentised (METRICS 10, rule 8).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analysis.statistics.seeds import fraction_bounds
from contrast.component import UserError
from contrast.random import key

FEWEST_RUNS, FEWEST_SEEDS = 10, 4


@dataclass(frozen=True)
class Between:
    """An estimate over all runs, with its 95 % interval over seeds."""

    value: float
    low: float
    high: float


def interquartile_mean(scores: Float[np.ndarray, "seeds tasks"], resamples: int = 2000) -> Between:
    """The mean of the middle half of all runs, and the interval of the studentised bootstrap over seeds; its error is a jackknife's.

    Raises `UserError` below 10 runs or 4 seeds, or where a score is not finite.
    """
    _require(scores)
    seeds = len(scores)
    value, error = float(_middle(scores[None])[0]), float(_error(scores[None])[0])
    rows = np.random.Generator(np.random.PCG64(key(0, "seeds drawn again"))).integers(0, seeds, (resamples, seeds))
    again = scores[rows]
    errors = _error(again)
    # Where one seed is drawn every time its error is 0, and so is what it says of the spread.
    ratio = np.divide(_middle(again) - value, errors, out=np.zeros(resamples), where=errors > 0)
    low, high = np.quantile(ratio, (0.025, 0.975))
    return Between(value, value - float(high) * error, value - float(low) * error)


def performance_profile(
    scores: Float[np.ndarray, "seeds tasks"], at: Float[np.ndarray, " x"]
) -> tuple[Float[np.ndarray, " x"], Float[np.ndarray, " x"], Float[np.ndarray, " x"]]:
    """The share of runs above each of `at`, and its pointwise 95 % t band over seeds, each of which has one share.

    Raises `UserError` as `interquartile_mean` does.
    """
    _require(scores)
    shares = (scores[:, :, None] > at).mean(axis=1)
    low, high = fraction_bounds(shares)
    return shares.mean(axis=0), low, high


def _middle(scores: Float[np.ndarray, "b seeds tasks"]) -> Float[np.ndarray, " b"]:
    runs = np.sort(scores.reshape(len(scores), -1), axis=1)
    cut = runs.shape[1] // 4
    middle: np.ndarray = runs[:, cut : runs.shape[1] - cut].mean(axis=1)
    return middle


def _error(scores: Float[np.ndarray, "b seeds tasks"]) -> Float[np.ndarray, " b"]:
    """The standard error of the interquartile mean, by leaving out one seed after the other."""
    seeds = scores.shape[1]
    without = np.stack([_middle(np.delete(scores, i, axis=1)) for i in range(seeds)])
    error: np.ndarray = np.sqrt((seeds - 1) * without.var(axis=0))
    return error


def _require(scores: Float[np.ndarray, "seeds tasks"]) -> None:
    seeds, tasks = scores.shape
    if seeds < FEWEST_SEEDS or seeds * tasks < FEWEST_RUNS:
        rule = f"must be at least {FEWEST_RUNS} runs of at least {FEWEST_SEEDS} seeds"
        raise UserError(f"scores = {seeds} seeds of {tasks} tasks: {rule}. Use `over_tasks` and `interval`.")
    if not np.isfinite(scores).all():
        raise UserError("scores = not finite in some run: must be numbers. Leave diverged seeds out.")
