"""Points of a space that nobody draws: given knobs, and the ends of every range."""

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

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
        _check_offered(name, self.knobs[name], offered)


class CornerTrial(FixedTrial):
    """A trial that answers with an end of each range: the low end, or the one that `chosen` names by number, or what is `held`.

    Spaces are called with it at launch, so that a value that cannot be built is found before any training. `whose` is put
    before what is said of a held value that the space does not offer.
    """

    def __init__(self, chosen: dict[str, int], held: Mapping[str, Knob], whose: str = "") -> None:
        super().__init__({})
        self.chosen, self.held, self.whose = chosen, held, whose
        self.ends: dict[str, list[Knob]] = {}

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """An end of the range."""
        return self._end(name, _range(name, low, high, lambda: FloatDistribution(low, high, log=log, step=step)))  # type: ignore[return-value]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An end of the range."""
        return self._end(name, _range(name, low, high, lambda: IntDistribution(low, high, log=log, step=step)))  # type: ignore[return-value]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401
        """One of the choices."""
        return self._end(name, CategoricalDistribution(choices))

    def _end(self, name: str, offered: FloatDistribution | IntDistribution | CategoricalDistribution) -> Knob:
        if name in self.held:
            _check_offered(name, self.held[name], offered, self.whose)
            self.ends[name] = [self.held[name]]
        else:
            self.ends[name] = list(offered.choices) if isinstance(offered, CategoricalDistribution) else [offered.low, offered.high]
        return self.knobs[name]

    @property
    def knobs(self) -> dict[str, Knob]:
        """What was answered so far."""
        return {name: ends[min(self.chosen.get(name, 0), len(ends) - 1)] for name, ends in self.ends.items()}


R = TypeVar("R", FloatDistribution, IntDistribution)


def _range(name: str, low: float, high: float, offered: Callable[[], R]) -> R:
    """A range as it is drawn from; `UserError` for one that cannot be."""
    try:
        return offered()
    except ValueError as error:
        raise UserError(f"{name} = {low!r} to {high!r}: cannot be drawn from. {error} Mend the range of this knob.") from error


def _check_offered(name: str, value: Knob, offered: BaseDistribution, whose: str = "") -> None:
    try:
        create_trial(value=0.0, params={name: value}, distributions={name: offered})
    except ValueError as error:
        cure = "Choose a value that it offers, or widen the range."
        raise UserError(f"{whose}{name} = {value!r}: the space does not offer this value ({offered}). {cure}") from error


def corners(sweep: Sweep, arm: dict[str, Any], phase: Phase) -> list[tuple[dict[str, Knob], dict[str, Stage]]]:
    """The stages at the corner of all low ends, and with each knob in turn at each other end; raises what the space raises.

    A knob that is drawn only beside some value of another one is turned there; fixed knobs are held.
    """
    found: list[tuple[dict[str, Knob], dict[str, Stage]]] = []
    waiting: list[dict[str, int]] = [{}]
    seen: set[str] = set()
    while waiting:
        trial = CornerTrial(waiting.pop(0), sweep.fixed, "Sweep.fixed: ")
        stages = call_space(sweep, trial, sweep.seeds[0], phase, arm)
        found.append((trial.knobs, stages))
        for name in [name for name in trial.ends if name not in seen]:
            seen.add(name)
            waiting += [trial.chosen | {name: choice} for choice in range(1, len(trial.ends[name]))]
    return found


def checked_knobs(sweep: Sweep, arm: dict[str, Any], given: dict[str, Knob]) -> dict[str, Knob]:
    """Knobs given by hand, completed by low ends and refused when the space has no such knob."""
    known = _known(sweep, arm)
    for name in sorted(set(given) - set(known)):
        raise UserError(f"{name} = {given[name]!r}: {_no_such(sweep, known)}")
    return known | given


def check_given(sweep: Sweep, phase: Phase) -> None:
    """Refuse `points` and `fixed` with a knob that no arm draws, or a value that the space does not offer."""
    known = {label: _known(sweep, arm, phase) for label, arm in sweep.arm_list}
    everything = {name: value for knobs in known.values() for name, value in knobs.items()}
    for field, given in [("fixed", sweep.fixed), *(("points", point) for point in sweep.points)]:
        for name in sorted(set(given) - set(everything)):
            raise UserError(f"Sweep.{field}: {name} = {given[name]!r}: {_no_such(sweep, everything)}")
        for _, arm in sweep.arm_list:
            call_space(sweep, CornerTrial({}, {**sweep.fixed, **given}, f"Sweep.{field}: "), sweep.seeds[0], phase, arm)


def refuse_other_knobs(sweep: Sweep, number: int, point: int, knobs: Mapping[str, Knob]) -> None:
    """Refuse a candidate of an earlier launch whose knobs are not those that `fixed` holds, or those of its `point` in order."""
    given: list[tuple[str, Mapping[str, Knob], str]] = [("fixed", sweep.fixed, "fixes it")]
    if point < len(sweep.points):
        given.append(("points", sweep.points[point], "begins with this point"))
    for field, wanted, does in given:
        for name, value in wanted.items():
            if knobs.get(name, value) != value:
                cure = f"Give the sweep that {does} another name; finished stages are shared all the same."
                was = f"candidate {number} of sweep {sweep.name!r} has {name} = {knobs[name]!r}"
                raise UserError(f"Sweep.{field}: {name} = {value!r}: {was}. {cure}")


def _known(sweep: Sweep, arm: dict[str, Any], phase: Phase = "search") -> dict[str, Knob]:
    """Every knob of an arm, with the value of the first corner that has it."""
    known: dict[str, Knob] = {}
    for knobs, _ in corners(sweep, arm, phase):
        known = knobs | known
    return known


def _no_such(sweep: Sweep, known: Mapping[str, Knob]) -> str:
    return f"the sweep {sweep.name!r} has no such knob. It has {', '.join(sorted(known)) or 'none'}."


def settings(texts: Iterable[str]) -> dict[str, Knob]:
    """Knobs and their values as the command line states them, each `name=value`; refuses a knob that is named twice."""
    found: dict[str, Knob] = {}
    for name, value in map(_setting, texts):
        if name in found:
            raise UserError(f"{name} = {value!r}: the knob is given twice, before as {found[name]!r}. Give it once.")
        found[name] = value
    return found


def _setting(text: str) -> tuple[str, Knob]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(f"knob = {text!r}: must read name=value. Write for example temperature=0.1.")
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        parsed = value
    if not isinstance(parsed, float | int | str | bool | None):
        raise UserError(f"{name} = {value!r}: must be a number, text, True, False or None. Write for example {name}=0.1.")
    return name, parsed
