"""Who draws the points of a search: frozen values that build Optuna's samplers with every argument spelled out.

So results do not move when Optuna changes its defaults. A sampler is built anew for every draw, seeded by the number of the
candidate; a sequence that must go on from draw to draw (QMC) is seeded by the arm. `Sweep.sampler` also takes any function
from a seed to an Optuna sampler.
"""

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, PartialFixedSampler, QMCSampler, RandomSampler, TPESampler
from optuna.samplers.nsgaii import UniformCrossover
from optuna.trial import FrozenTrial

from contrast.component import UserError, require, require_types
from sweeps.calling import call, call_with

logging.getLogger("optuna._gp").setLevel(logging.ERROR)  # it warns where its optimiser is slower, or has little left to do


@dataclass(frozen=True)
class TPE:
    """Tree-structured Parzen estimator over all knobs together (Bergstra et al., 2011; Falkner et al., 2018): the default.

    The first `startup` results are of random points; each draw is the best of `candidates` from the density of good points.
    """

    startup: int = 10
    candidates: int = 24

    def __post_init__(self) -> None:
        require_types(self)
        require(self.startup >= 1, self, "startup", "must be at least 1", "10 is usual.")
        require(self.candidates >= 1, self, "candidates", "must be at least 1", "24 is usual.")

    def build(self, seed: int, arm_seed: int) -> BaseSampler:
        """Optuna's sampler for one draw."""
        return TPESampler(
            n_startup_trials=self.startup,
            n_ei_candidates=self.candidates,
            gamma=_good,
            weights=_weights,
            seed=seed,
            multivariate=True,
            group=False,
            warn_independent_sampling=False,
            constant_liar=True,
        )


@dataclass(frozen=True)
class GP:
    """Gaussian process with expected improvement: for few, costly candidates and few knobs. `startup` as of TPE."""

    startup: int = 10

    def __post_init__(self) -> None:
        require_types(self)
        require(self.startup >= 1, self, "startup", "must be at least 1", "10 is usual.")

    def build(self, seed: int, arm_seed: int) -> BaseSampler:
        """Optuna's sampler for one draw."""
        return GPSampler(
            seed=seed,
            independent_sampler=RandomSampler(seed),
            n_startup_trials=self.startup,
            deterministic_objective=False,
            warn_independent_sampling=False,
        )


@dataclass(frozen=True)
class NSGA2:
    """Genetic search for several objectives (Deb et al., 2002): generations of `population`, uniform crossover."""

    population: int = 20
    crossover: float = 0.9
    swapping: float = 0.5

    def __post_init__(self) -> None:
        require_types(self)
        require(self.population >= 2, self, "population", "must be at least 2", "20 to 50 is usual.")
        require(0 <= self.crossover <= 1, self, "crossover", "must be a probability", "0.9 is usual.")
        require(0 <= self.swapping <= 1, self, "swapping", "must be a probability", "0.5 is usual.")

    def build(self, seed: int, arm_seed: int) -> BaseSampler:
        """Optuna's sampler for one draw."""
        return NSGAIISampler(
            population_size=self.population,
            mutation=None,
            mutation_prob=None,
            crossover=UniformCrossover(self.swapping),
            crossover_prob=self.crossover,
            swapping_prob=self.swapping,
            seed=seed,
        )


@dataclass(frozen=True)
class QMC:
    """Scrambled Sobol points, which cover a space more evenly than random ones; the first, before any result, are random."""

    def build(self, seed: int, arm_seed: int) -> BaseSampler:
        """Optuna's sampler for one draw."""
        return QMCSampler(
            qmc_type="sobol",
            scramble=True,
            seed=arm_seed,
            independent_sampler=RandomSampler(seed),
            warn_asynchronous_seeding=False,
            warn_independent_sampling=False,
        )


@dataclass(frozen=True)
class Random:
    """Independent uniform points."""

    def build(self, seed: int, arm_seed: int) -> BaseSampler:
        """Optuna's sampler for one draw."""
        return RandomSampler(seed)


@dataclass(frozen=True)
class Grid:
    """Every combination of finite knobs, each a candidate that runs on all `seeds` in phase "confirm"; nothing is searched."""


Sampler = TPE | GP | NSGA2 | QMC | Random


def built(sampler: Sampler | Callable[[int], BaseSampler] | None, seed: int, arm_seed: int) -> BaseSampler:
    """The sampler of one draw."""
    with warnings.catch_warnings():  # of what may change some day; here every argument is spelled out
        for kind in (optuna.exceptions.ExperimentalWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        chosen = sampler if sampler is not None else TPE()
        return chosen.build(seed, arm_seed) if isinstance(chosen, Sampler) else _own(chosen, seed)


class _Holding(PartialFixedSampler):
    """Optuna's sampler of held knobs, and of none; what a sampler raises while a space draws is told as the sampler's."""

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:  # noqa: ANN401
        """A value of one knob."""
        draw = partial(super().sample_independent, study, trial, param_name, param_distribution)
        return call_with("Sweep.sampler", self._base_sampler, draw)


def holding(sampler: BaseSampler, held: Mapping[str, Any]) -> BaseSampler:
    """The sampler, with the knobs in `held` at their values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _Holding(dict(held), sampler)


def _own(make: Callable[[int], BaseSampler], seed: int) -> BaseSampler:
    """What a function of the user's makes; `UserError` for anything but a sampler of Optuna's."""
    made = None if isinstance(make, type) and issubclass(make, Sampler) else call("Sweep.sampler", "sampler(seed)", make, seed)
    if not isinstance(made, BaseSampler):
        rule = "must be a value, and is its class" if isinstance(make, type) else f"must make one of Optuna's samplers, and made {made!r}"
        raise UserError(f"Sweep.sampler = {make!r}: {rule}. Make one, such as TPE(), or return an Optuna sampler.")
    return made


def _good(n: int) -> int:
    """How many of n results count as good: a tenth, at most 25."""
    return min(math.ceil(0.1 * n), 25)


def _weights(n: int) -> np.ndarray:
    """Weights of n results, oldest first: the last 25 count full, those before less the older they are."""
    return np.concatenate([np.linspace(1.0 / n, 1.0, num=n - 25), np.ones(25)]) if n > 25 else np.ones(n)
