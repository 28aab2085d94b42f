"""The search of one arm as Optuna sees it: a study in memory that lives as long as the launch.

A candidate is told when it counts, strictly in order, so a draw rests on the declaration and on results, never on timing.
Its sampler is seeded by its number alone. What samplers and pruners note in the study is handed out with every draw, to be
kept in the candidate's file: a study that is built from these files goes on as if it had never ended.
"""

import copy
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from contrast.data.dataset import Phase
from contrast.stage import Stage
from sweeps.calling import call, call_with
from sweeps.grid import combinations
from sweeps.samplers import Grid, built, holding
from sweeps.search import fixed
from sweeps.sweep import Knob, Sweep, call_space

optuna.logging.set_verbosity(optuna.logging.WARNING)
_RUNG = "completed_rung_"  # where successive halving notes the report at which a trial went on
Kept = dict[str, dict[str, Any]]  # what Optuna noted of a "trial", and what it changed in the "study" when it was drawn


@dataclass(frozen=True)
class Told:
    """How a candidate ended, as samplers and pruners see it; RUNNING for one whose result does not count yet."""

    state: TrialState = TrialState.RUNNING
    values: tuple[float, ...] | None = None
    intermediate: dict[int, float] = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Earlier:
    """A result that a search begins with."""

    knobs: dict[str, Knob]
    distributions: dict[str, BaseDistribution]
    told: Told


@dataclass(frozen=True)
class Draw:
    """A drawn point: knobs, the distributions they came from, the stages of the first seed, and what Optuna noted of it."""

    knobs: dict[str, Knob]
    distributions: dict[str, BaseDistribution]
    stages: dict[str, Stage]
    kept: Kept = field(default_factory=dict)


class _Seen(InMemoryStorage):
    """Trials in memory, of which a pruner is shown those that one candidate may see, turned round where less is better."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: Collection[int] | None = None
        self.sign = 1

    def get_all_trials(self, study_id: int, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:  # noqa: ANN401
        """All trials, or those that may be seen."""
        trials = super().get_all_trials(study_id, deepcopy, states)
        return trials if self.numbers is None else [_turned(trial, self.sign) for trial in trials if trial.number in self.numbers]


class Study:
    """The candidates of one arm, by index; every index is drawn or adopted once, in order, then told once, in order.

    What another sweep found comes first and has no index.
    """

    def __init__(self, sweep: Sweep, arm: Mapping[str, Any], phase: Phase, earlier: Sequence[Earlier] = ()) -> None:
        self.sweep, self.arm, self.phase = sweep, dict(arm), phase
        self._storage = _Seen()
        directions = [objective.direction for objective in sweep.objectives] or ["maximize"]
        # Hyperband chooses the bracket of a trial by the study's name.
        self._study = optuna.create_study(storage=self._storage, study_name=f"{sweep.name}/{_spelled(arm)}", directions=directions)
        self._id = self._storage.get_study_id_from_name(self._study.study_name)
        self._grid = {_point(knobs): knobs for knobs in combinations(sweep, arm, phase)} if isinstance(sweep.sampler, Grid) else None
        self.planned = len(self._grid) if self._grid is not None else sweep.trials if phase == "search" else 1
        self._earlier = len(earlier)
        for one in earlier:
            self._study.add_trial(
                create_trial(
                    values=one.told.values, params=one.knobs, distributions=one.distributions, constraints=one.told.violations or None
                )
            )
        self.drawn = 0
        self.told = 0

    def draw(self, index: int) -> Draw:
        """Draw candidate `index`, the first that was not drawn; it sees what was told until now."""
        if self._grid is not None:
            return self._of_grid(index, next(iter(self._grid.values())))
        self._next(index)
        seed, held = sampler_seed(self.sweep, self.arm, index), self.sweep.fixed
        assert not isinstance(self.sweep.sampler, Grid)  # it has no study
        made = built(self.sweep.sampler, seed, sampler_seed(self.sweep, self.arm, None))
        self._study.sampler = holding(made, held)
        before = dict(self._storage.get_study_system_attrs(self._id))
        if index < len(self.sweep.points):
            self._study.enqueue_trial({**self.sweep.points[index], **held})
        trial = call_with("Sweep.sampler", made, self._study.ask)
        stages = call_space(self.sweep, trial, self.sweep.seeds[0], self.phase, self.arm)
        after = self._storage.get_study_system_attrs(self._id)
        changed = {name: value for name, value in after.items() if name not in before or before[name] != value}
        return Draw(dict(trial.params), dict(trial.distributions), stages, {"trial": self.noted(index), "study": changed})

    def _of_grid(self, index: int, knobs: Mapping[str, Knob]) -> Draw:
        point = fixed(dict(knobs))
        stages = call_space(self.sweep, point, self.sweep.seeds[0], self.phase, self.arm)
        self.adopt(index, point.params, point.distributions, {})
        return Draw(dict(point.params), dict(point.distributions), stages)

    def adopt(self, index: int, knobs: Mapping[str, Knob], distributions: Mapping[str, BaseDistribution], kept: Kept) -> None:
        """Take candidate `index` as it was drawn in an earlier launch."""
        self._next(index)
        if self._grid is not None:
            self._grid.pop(_point(knobs), None)
        noted = dict(kept.get("trial", {}))
        self._study.add_trial(
            create_trial(state=TrialState.RUNNING, params=dict(knobs), distributions=dict(distributions), system_attrs=noted)
        )
        for name, value in kept.get("study", {}).items():
            self._storage.set_study_system_attr(self._id, name, value)

    def tell(self, index: int, told: Told) -> None:
        """Count how candidate `index` ended, the first that was not told."""
        assert index == self.told < self.drawn, f"candidate {index} is told after {self.told} of {self.drawn}"
        self.told += 1
        at = self._trial_id(index)
        for step, value in told.intermediate.items():
            self._storage.set_trial_intermediate_value(at, step, value)
        noted = create_trial(state=TrialState.RUNNING, constraints=told.violations).system_attrs if told.violations else {}
        for name, broken in noted.items():
            self._storage.set_trial_system_attr(at, name, broken)
        self._storage.set_trial_state_values(at, told.state, told.values)

    def should_prune(self, index: int, intermediate: Mapping[int, float], among: Collection[int], sign: int = 1) -> bool:
        """Whether the pruner stops candidate `index`, whose monitor was so far `intermediate` (by per cent of the schedule).

        It sees those of `among` that were told, and no others; `among` must be the same however often it is asked. `sign`
        is -1 for a monitor that falls while the objective rises.
        """
        if not intermediate:
            return False
        if self.sweep.pruner is None:
            # Optuna's median rule compares the best value so far, which keeps alive what began well and falls.
            intermediate = {max(intermediate): intermediate[max(intermediate)]}
        at, before = self._trial_id(index), self.noted(index)
        trial = copy.copy(self._storage.get_trial(at))
        trial.intermediate_values = dict(intermediate)
        self._storage.numbers, self._storage.sign = {i + self._earlier for i in among if i < self.told}, sign
        self._storage.numbers |= {index + self._earlier}
        try:
            usage = "pruner.prune(study, trial)"
            return bool(call("Sweep.pruner", usage, self._pruner().prune, self._study, _turned(trial, sign)))  # some answer in numpy
        finally:
            self._storage.numbers = None
            for name, value in self.noted(index).items():
                if name not in before and name.startswith(_RUNG):
                    self._storage.set_trial_system_attr(at, name, sign * value)

    def _pruner(self) -> optuna.pruners.BasePruner:
        """The declared one as it was declared, since some note what they saw; or the median of what is there."""
        if self.sweep.pruner is not None:
            return copy.deepcopy(self.sweep.pruner)
        # A short search has few results to compare with, and a pruner that waits for five of them would never act.
        startup = min(5, max(1, self.sweep.trials - self.sweep.window))
        return optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=30)

    def noted(self, index: int) -> dict[str, Any]:
        """What samplers and pruners noted of candidate `index`."""
        return dict(self._storage.get_trial(self._trial_id(index)).system_attrs)

    def _next(self, index: int) -> None:
        assert index == self.drawn, f"candidate {index} is drawn after {self.drawn}"
        self.drawn += 1

    def _trial_id(self, index: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, index + self._earlier)


def sampler_seed(sweep: Sweep, arm: Mapping[str, Any], index: int | None) -> int:
    """The seed of the sampler for one candidate, or for what all candidates of an arm share."""
    text = f"{sweep.sampler_seed}/{_spelled(arm)}/{'arm' if index is None else index}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def _point(knobs: Mapping[str, Knob]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in knobs.items()))


def _spelled(arm: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    return sorted((name, str(value)) for name, value in arm.items())


def _turned(trial: FrozenTrial, sign: int) -> FrozenTrial:
    """A trial whose reports are multiplied by `sign`, those that a pruner noted too."""
    if sign > 0:
        return trial
    turned = copy.copy(trial)
    turned.intermediate_values = {step: sign * value for step, value in trial.intermediate_values.items()}
    turned.system_attrs = {name: sign * value if name.startswith(_RUNG) else value for name, value in trial.system_attrs.items()}
    return turned
