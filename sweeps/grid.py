"""Every combination of finite knobs, found by running the space: what a table of a paper is made of."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from contrast.component import UserError
from contrast.data.dataset import Phase
from sweeps.sweep import Knob, Sweep, call_space

MOST = 10_000


def combinations(sweep: Sweep, arm: Mapping[str, Any], phase: Phase) -> list[dict[str, Knob]]:
    """The knobs of every combination that the space of an arm can draw, the last knob varied first; fixed knobs are held.

    A knob that is drawn beside some values of others only is combined with those. Raises `UserError` for a continuous knob, and for
    more than `MOST` combinations.
    """
    found: list[dict[str, Knob]] = []
    waiting: list[dict[str, Knob]] = [{}]
    while waiting:
        trial = _Branch(waiting.pop(), sweep.fixed)
        call_space(sweep, trial, sweep.seeds[0], phase, arm)
        found.append(trial.taken)
        before: dict[str, Knob] = {}
        for name, first in trial.taken.items():
            waiting += [before | {name: other} for other in reversed(trial.others.get(name, []))]
            before |= {name: first}
        if len(found) + len(waiting) > MOST:
            raise _too_many("the knobs have")
    return found


def _too_many(what: str) -> UserError:
    cure = "Draw from fewer values, by larger steps or as choices, hold a knob by fixed=, or search by another sampler."
    return UserError(f"Sweep.sampler = Grid(): {what} more than {MOST} combinations. {cure}")


class _Branch(FixedTrial):
    """A trial that takes the values in `way`, then the first value of every other knob, whose `others` it notes."""

    def __init__(self, way: Mapping[str, Knob], held: Mapping[str, Knob]) -> None:
        super().__init__({})
        self.way, self.held = way, held
        self.taken: dict[str, Knob] = {}
        self.others: dict[str, list[Knob]] = {}

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """One of the steps; refused without `step`, unless the range is one number."""
        range_ = FloatDistribution(low, high, log=log, step=step)
        if range_.step is None and name not in self.held and not range_.single():
            cure = "Give it a step, or choices by trial.suggest_categorical, or hold it by fixed=."
            raise UserError(f"{name} = {low!r} to {high!r}: is continuous, and Grid() runs every combination. {cure}")
        step_, start = Decimal(str(range_.step or 1)), Decimal(str(range_.low))
        count = 1 if range_.single() or range_.step is None else int((Decimal(str(range_.high)) - start) / step_) + 1
        return self._one(name, range(count), lambda i: float(start + i * step_))  # type: ignore[return-value]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """One of the integers."""
        range_ = IntDistribution(low, high, log=log, step=step)
        return self._one(name, range(range_.low, range_.high + 1, range_.step))  # type: ignore[return-value]

    def suggest_categorical(self, name: str, choices: Any) -> Any:  # noqa: ANN401 (as Optuna's)
        """One of the choices."""
        return self._one(name, CategoricalDistribution(choices).choices)

    def _one(self, name: str, of: Sequence[Any], value: Callable[[Any], Knob] = lambda one: one) -> Knob:
        """The knob's value in this branch; it has `value` of each in `of`."""
        if name not in self.taken:
            if name in self.way:
                self.taken[name] = self.way[name]
            elif name in self.held:
                self.taken[name] = self.held[name]
            elif len(of) > MOST:
                raise _too_many(f"{name} alone has")
            else:
                self.taken[name], *self.others[name] = map(value, of)
        return self.taken[name]
