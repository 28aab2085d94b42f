"""What Optuna is asked, as pure functions of what was told.

The study of an arm is rebuilt for every question from the candidates that count for it. So a draw depends on the
declaration and on results, never on timing, the worker, or how often the driver was restarted.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from contrast.component import UserError
from contrast.data.dataset import Phase
from contrast.stage import Stage
from sweeps.sweep import Knob, Sweep, call_space

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Told:
    """One earlier candidate of the arm as the sampler sees it; `state` RUNNING for one whose result does not count yet."""

    knobs: dict[str, Knob]
    distributions: dict[str, BaseDistribution]
    state: TrialState = TrialState.RUNNING
    values: tuple[float, ...] | None = None
    intermediate: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Draw:
    """A drawn point: knobs, the distributions they came from, and the stages of the first seed."""

    knobs: dict[str, Knob]
    distributions: dict[str, BaseDistribution]
    stages: dict[str, Stage]


def draw(sweep: Sweep, arm: dict[str, Any], index: int, history: Sequence[Told], phase: Phase) -> Draw:
    """Candidate `index` of an arm, given what is told of candidates 0..index-1."""
    seed = sampler_seed(sweep, arm, index)
    study = _study(sweep, history, sweep.sampler(seed) if sweep.sampler else optuna.samplers.TPESampler(seed=seed, multivariate=True))
    trial = study.ask()
    stages = call_space(sweep, trial, sweep.seeds[0], phase, arm)
    return Draw(dict(trial.params), dict(trial.distributions), stages)


def should_prune(sweep: Sweep, history: Sequence[Told], current: Told) -> bool:
    """Whether the pruner stops a pilot whose monitor was so far `current.intermediate` (by per cent of the schedule)."""
    if not current.intermediate:
        return False
    study = _study(sweep, history, None)
    study.add_trial(_frozen(current))
    # A short search has few results to compare with, and a pruner that waits for five of them would never act.
    startup = min(5, max(1, sweep.trials - sweep.window))
    pruner = sweep.pruner or optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=30)
    return bool(pruner.prune(study, study.trials[-1]))  # some pruners answer in numpy


def sampler_seed(sweep: Sweep, arm: dict[str, Any], index: int) -> int:
    """The seed of the sampler for one candidate."""
    text = f"{sweep.sampler_seed}/{sorted((k, str(v)) for k, v in arm.items())}/{index}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def fixed(knobs: dict[str, Knob]) -> "FixedPoint":
    """A trial that gives these knobs again, for further seeds and for a restart."""
    return FixedPoint(knobs)


class FixedPoint(FixedTrial):
    """A trial that gives known knobs, and refuses a knob that it does not know or a value that the space does not offer."""

    def __init__(self, knobs: dict[str, Knob]) -> None:
        super().__init__(dict(knobs))
        self.knobs = knobs

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """The known value."""
        self._check(name, FloatDistribution(low, high, log=log, step=step))
        return super().suggest_float(name, low, high, step=step, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """The known value."""
        self._check(name, IntDistribution(low, high, log=log, step=step))
        return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401
        """The known value."""
        self._check(name, CategoricalDistribution(choices))
        return super().suggest_categorical(name, choices)

    def _check(self, name: str, offered: BaseDistribution) -> None:
        if name not in self.knobs:
            raise UserError(
                f"{name}: the space draws this knob, but the point has only {', '.join(sorted(self.knobs)) or 'none'}. Give it a value."
            )
        try:
            create_trial(value=0.0, params={name: self.knobs[name]}, distributions={name: offered})
        except ValueError as error:
            cure = "Choose a value that it offers, or widen the range."
            raise UserError(f"{name} = {self.knobs[name]!r}: the space does not offer this value ({offered}). {cure}") from error


def _study(sweep: Sweep, history: Sequence[Told], sampler: optuna.samplers.BaseSampler | None) -> optuna.Study:
    directions = [objective.direction for objective in sweep.objectives] or ["maximize"]
    study = optuna.create_study(directions=directions, sampler=sampler, pruner=optuna.pruners.NopPruner())
    study.add_trials([_frozen(told) for told in history])
    return study


def _frozen(told: Told) -> FrozenTrial:
    return create_trial(
        state=told.state,
        values=told.values if told.state == TrialState.COMPLETE else None,
        params=told.knobs,
        distributions=told.distributions,
        intermediate_values=told.intermediate,
    )


class CornerTrial(FixedTrial):
    """A trial that answers with an end of each range: the low end, or the one that `chosen` names by number.

    Spaces are called with it at launch, so that a value that cannot be built is found before any training.
    """

    def __init__(self, chosen: dict[str, int]) -> None:
        super().__init__({})
        self.chosen = chosen
        self.ends: dict[str, list[Knob]] = {}

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """An end of the range."""
        return self._end(name, _ends(name, low, high, lambda: FloatDistribution(low, high, log=log, step=step)))  # type: ignore[return-value]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An end of the range."""
        return self._end(name, _ends(name, low, high, lambda: IntDistribution(low, high, log=log, step=step)))  # type: ignore[return-value]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401
        """One of the choices."""
        return self._end(name, list(choices))

    def _end(self, name: str, ends: list[Knob]) -> Knob:
        self.ends[name] = ends
        return self.knobs[name]

    @property
    def knobs(self) -> dict[str, Knob]:
        """What was answered so far."""
        return {name: ends[min(self.chosen.get(name, 0), len(ends) - 1)] for name, ends in self.ends.items()}


def _ends(name: str, low: float, high: float, offered: Callable[[], FloatDistribution | IntDistribution]) -> list[Knob]:
    """The ends of a range as it is drawn from; `UserError` for one that cannot be."""
    try:
        range_ = offered()
    except ValueError as error:
        raise UserError(f"{name} = {low!r} to {high!r}: cannot be drawn from. {error} Mend the range of this knob.") from error
    return [range_.low, range_.high]


def corners(sweep: Sweep, arm: dict[str, Any], phase: Phase) -> list[tuple[dict[str, Knob], dict[str, Stage]]]:
    """The stages at the corner of all low ends, and with each knob in turn at each other end; raises what the space raises.

    A knob that is drawn only beside some value of another one is turned there.
    """
    found: list[tuple[dict[str, Knob], dict[str, Stage]]] = []
    waiting: list[dict[str, int]] = [{}]
    seen: set[str] = set()
    while waiting:
        trial = CornerTrial(waiting.pop(0))
        stages = call_space(sweep, trial, sweep.seeds[0], phase, arm)
        found.append((trial.knobs, stages))
        for name in [name for name in trial.ends if name not in seen]:
            seen.add(name)
            waiting += [trial.chosen | {name: choice} for choice in range(1, len(trial.ends[name]))]
    return found


def checked_knobs(sweep: Sweep, arm: dict[str, Any], given: dict[str, Knob]) -> dict[str, Knob]:
    """Knobs given by hand, completed by low ends and refused when the space has no such knob."""
    known: dict[str, Knob] = {}
    for knobs, _ in corners(sweep, arm, "search"):
        known = knobs | known
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UserError(
            f"{unknown[0]} = {given[unknown[0]]!r}: the sweep {sweep.name!r} has no such knob. It has {', '.join(sorted(known)) or 'none'}."
        )
    return known | given
