"""Points of a space that nobody draws: given knobs, and the ends of every range."""

from collections.abc import Callable, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial, create_trial

from contrast.component import UserError
from contrast.data.dataset import Phase
from contrast.stage import Stage
from sweeps.sweep import Knob, Sweep, call_space


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
