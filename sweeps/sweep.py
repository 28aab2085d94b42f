"""A sweep states a question: which knobs, compared over which arms and seeds, judged by what.

It is a value without behaviour of its own; the controller reads it. Names of metrics are made here and nowhere else: a
measure returned under `pgd/0` gives its main result as `pgd/0` and its others as `pgd/0/eps_2`.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import optuna

from analysis.measure import Measure
from contrast.component import Component, UserError, nested, require, require_types
from contrast.data.dataset import Phase
from contrast.finetune import Finetune
from contrast.logistic_regression import LogisticRegression
from contrast.losses.loss import Loss
from contrast.segment import Segment
from contrast.stage import Metrics, Stage
from sweeps.budget import Budget
from sweeps.calling import call
from sweeps.gate import FEWEST
from sweeps.idle import refuse_idle_on_a_grid
from sweeps.objective import AtLeast, AtMost, Bound, Direction, Objective, check_constraints, declared
from sweeps.samplers import Grid, Sampler

Knob = float | int | str | bool | None
Space = Callable[..., dict[str, Stage]]


@dataclass(frozen=True)
class Confirm:
    """The best `top` candidates of each arm run again on fresh `seeds` in phase "confirm"; only that is reported as theirs."""

    top: int = 1
    seeds: tuple[int, ...] = (1, 2, 3, 4)

    def __post_init__(self) -> None:
        require_types(self)
        require(self.top >= 1, self, "top", "must be at least 1", "Leave out confirm= for no confirmation.")
        require(len(self.seeds) > 0, self, "seeds", "must not be empty", "Name seeds that the search does not use.")
        _require_seeds(self, self.seeds)


@dataclass(frozen=True)
class Run:
    """One replicate as `across` and the figures see it: arm label, knobs, seed, and its stages by key."""

    arm: str
    knobs: dict[str, Knob]
    seed: int
    stages: dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A question over a space.

    name: folder and MLflow experiment. space: `(trial, seed, phase, **arm) -> {key: stage}`. arms: axes of methods, each
    tuned alone with `trials` candidates. maximize / minimize: the key judged, `*` matches one segment and matches are
    averaged within a seed, then over seeds; a `Bound` of it, or a tuple of several. seeds: replicates; the first `pilot` of
    them run before the others, under the pruner if a `monitor` key is given; the others follow one by one in a paired race
    (`sweeps/race.py`), which `pilot=len(seeds)` leaves out; all at once with several objectives. confirm: fresh seeds for
    the best. across: stages over all confirmed replicates. headline: patterns of keys that become MLflow metrics and table
    columns; all main results if not given. baseline: the arm against which paired differences are
    printed. open: candidates in progress at once in an arm; the draw of candidate k sees the results of candidates
    0..k-open and no others, so it depends on the declaration alone, not on timing. points: knobs that are tried first, the
    others of a point drawn. fixed: knobs that are held. constraints: on means over seeds; who breaks one is never best.
    warm_start: another sweep under the same root whose complete candidates the search begins with. budget: the most that
    all launches together may cost.
    """

    name: str
    space: Space
    arms: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    trials: int = 1
    maximize: str | Bound | tuple[str | Bound, ...] | None = None
    minimize: str | Bound | tuple[str | Bound, ...] | None = None
    seeds: tuple[int, ...] = (0,)
    pilot: int = 1
    monitor: str | None = None
    pruner: optuna.pruners.BasePruner | None = None
    confirm: Confirm | None = None
    across: Callable[[Sequence[Run]], dict[str, Stage]] | None = None
    sampler: Sampler | Grid | Callable[[int], optuna.samplers.BaseSampler] | None = None
    sampler_seed: int = 0
    points: tuple[Mapping[str, Any], ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    constraints: tuple[AtMost | AtLeast, ...] = ()
    warm_start: str | None = None
    headline: tuple[str, ...] = ()
    baseline: str | None = None
    open: int | None = None
    question: str = ""
    budget: Budget | None = None

    def __post_init__(self) -> None:
        require_types(self)
        require(
            bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.name)),
            self,
            "name",
            "must be at most 100 letters, digits, . _ -",
            "Rename the sweep.",
        )
        require(self.trials >= 1, self, "trials", "must be at least 1", "Give a number of candidates per arm.")
        require(len(self.seeds) > 0, self, "seeds", "must not be empty", "Give at least one seed.")
        _require_seeds(self, self.seeds)
        require(self.open is None or self.open >= 1, self, "open", "must be at least 1", "Leave it out for the default.")
        require(1 <= self.pilot <= len(self.seeds), self, "pilot", f"must be 1 to {len(self.seeds)}, the number of seeds", "Lower pilot.")
        self._check_objectives()
        self._check_search()
        require(self.pruner is None or self.monitor is not None, self, "pruner", "has nothing to watch", "Name a monitor= key.")
        require(self.monitor is None or bool(self.objectives), self, "monitor", "has no effect without an objective", "Give maximize=.")
        fresh = self.confirm is None or not set(self.confirm.seeds) & set(self.seeds)
        require(fresh, self, "confirm", f"shares seeds with seeds={self.seeds}", "Confirm on seeds that the search did not use.")
        labels = [label for label, _ in self.arm_list]
        require(len(labels) > 0, self, "arms", "has an axis without values", "Give each axis at least one value.")
        require(len(set(labels)) == len(labels), self, "arms", "has two arms with one label", "Give each value once.")
        require(self.baseline is None or self.baseline in labels, self, "baseline", f"is not an arm ({', '.join(labels)})", "Name an arm.")

    def _check_search(self) -> None:
        given = "is in fixed= with another value"
        clash = any(point.get(name, value) != value for point in self.points for name, value in self.fixed.items())
        require(not clash, self, "points", given, "Leave the knob out of the points, or do not fix it.")
        judges = not self.constraints or bool(self.objectives)
        require(judges, self, "constraints", "choose nothing without an objective", "Give maximize=.")
        require(self.warm_start != self.name, self, "warm_start", "is the sweep itself", "Name another sweep.")
        check_constraints(self.constraints)
        once = len(set(self.headline)) == len(self.headline)
        require(once, self, "headline", "names a key twice", "Name each key once.")
        if isinstance(self.sampler, Grid):
            refuse_idle_on_a_grid(self)
            return
        within = self.open is None or self.open <= self.trials
        require(within, self, "open", f"is above trials={self.trials}", "Lower it, or leave it out for the default.")
        require(all(self.points), self, "points", "has a point without knobs", "Leave it out: that candidate is drawn.")
        once = all(point not in self.points[:i] for i, point in enumerate(self.points))
        require(once, self, "points", "has a point twice", "Name each point once.")
        enough = len(self.points) <= self.trials
        require(enough, self, "points", f"are {len(self.points)}, and trials={self.trials}", "Raise trials, or leave some points out.")

    def _check_objectives(self) -> None:
        field = "maximize" if self.maximize is not None else "minimize"
        for one in get_args(Direction):
            given = getattr(self, one)
            names = [objective.pattern for objective in declared(one, given)]
            require(given is None or (bool(names) and all(names)), self, one, "must name a key", "Name one that the space returns.")
        names = [objective.pattern for objective in self.objectives]
        require(len(set(names)) == len(names), self, field, "names a key twice", "Name each objective once.")
        bounded = any(objective.bound for objective in self.objectives)
        require(not bounded or len(self.seeds) >= 2, self, field, "needs an interval over seeds", "Give two seeds or more, or no Bound.")
        if self.several:
            rule, cure = "judges by one objective, and there are several", "Leave it out: every candidate runs on all its seeds."
            require(self.pruner is None, self, "pruner", rule, cure)
            require(self.monitor is None, self, "monitor", rule, cure)
            require(self.pilot == 1, self, "pilot", rule, cure)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is judged, those of `maximize` first; empty when nothing is searched."""
        return declared("maximize", self.maximize) + declared("minimize", self.minimize)

    @property
    def several(self) -> bool:
        """Whether there are several objectives: then every candidate runs on all its seeds, and none is best in all."""
        return len(self.objectives) > 1

    @property
    def arm_list(self) -> list[tuple[str, dict[str, Any]]]:
        """Label and keyword arguments of each arm; one unnamed arm when none is declared."""
        axes = [[(name, value) for value in values] for name, values in self.arms.items()]
        arms = [dict(point) for point in itertools.product(*axes)]
        return [(", ".join(str(v) for v in arm.values()), arm) for arm in arms]

    @property
    def window(self) -> int:
        """How many candidates of an arm are in progress at once."""
        return self.open if self.open is not None else max(4, math.ceil(self.trials / 8))

    def with_options(self, trials: int | None, seeds: tuple[int, ...] | None, fixed: Mapping[str, Knob] | None = None) -> "Sweep":
        """The same question with other `trials` or `seeds`, and more knobs held; confirmation keeps its own seeds."""
        pilot = min(self.pilot, len(seeds or self.seeds))
        held = {**self.fixed, **(fixed or {})}
        window = min(self.open, trials or self.trials) if self.open is not None else None
        return replace(self, trials=trials or self.trials, seeds=seeds or self.seeds, pilot=pilot, open=window, fixed=held)


def _require_seeds(owner: "Sweep | Confirm", seeds: tuple[int, ...]) -> None:
    require(len(set(seeds)) == len(seeds), owner, "seeds", "must name each seed once", "Drop the repeated seed.")
    require(all(s >= 0 for s in seeds), owner, "seeds", "must be 0 or above", "Use non-negative seeds.")


def named(key: str, results: Metrics) -> Metrics:
    """Metric names of a measure's results: the first under `key`, the others under `key/name`."""
    return {key if i == 0 else f"{key}/{name}": value for i, (name, value) in enumerate(results.items())}


def call_space(sweep: Sweep, trial: Any, seed: int, phase: Phase, arm: Mapping[str, Any]) -> dict[str, Stage]:  # noqa: ANN401 (any Optuna trial)
    """What the space returns, checked: a non-empty dict of stages under text keys."""
    usage = f"space(trial, seed, phase{''.join(f', {name}=...' for name in arm)})"
    found = call(f"space of sweep {sweep.name!r}", usage, sweep.space, trial, seed, phase, **arm)
    stages = checked_stages(f"space of sweep {sweep.name!r}", found)
    if not stages:
        raise UserError(f"space of sweep {sweep.name!r}: returned no stages. Return {{'accuracy': Accuracy(...)}}.")
    return stages


def call_across(sweep: Sweep, runs: Sequence[Run]) -> dict[str, Stage]:
    """What `across` returns for these replicates, checked; nothing when there is no `across`, or there are no replicates."""
    if sweep.across is None or not runs:
        return {}
    whose = f"across of sweep {sweep.name!r}"
    return checked_stages(whose, call(whose, "across(runs)", sweep.across, runs))


def checked_stages(whose: str, stages: object) -> dict[str, Stage]:
    """`stages` if it is a dict of stages under text keys, else a `UserError` about what `whose` function returned."""
    if not (isinstance(stages, dict) and all(isinstance(k, str) and isinstance(v, Stage) for k, v in stages.items())):
        raise UserError(f"{whose}: must return a dict of stages by name, got {stages!r}. Return {{'accuracy': Accuracy(...)}}.")
    for key in stages:
        above = next((other for other in stages if key.startswith(f"{other}/")), None)
        if above is not None:
            cure = f"Rename one of them, such as {above!r} to '{above}/all'."
            raise UserError(f"{whose}: key {key!r} lies below key {above!r}, whose further results are named there too. {cure}")
    return stages


def refuse_test_split(value: Component, key: str, parts: Iterable[Component]) -> None:
    """In the search phase a test split anywhere inside a stage is an error."""
    for part in parts:
        if getattr(part, "part", None) == "test":
            cure = "Use .fit(phase) and .held_out(phase) with the phase given to the space."
            raise UserError(f"{key}: {part!r} is a test split in phase 'search'. {cure}")


def refuse_idle_monitor(sweep: Sweep, stages: Mapping[str, Stage]) -> None:
    """A monitor watches one stage in training; any other would have no effect."""
    if sweep.monitor is None:
        return
    monitor = stages.get(sweep.monitor)
    if not isinstance(monitor, Measure) or isinstance(monitor.of, tuple | Finetune | LogisticRegression | Segment):
        cure = "Name a key whose value is a measure of one Pretrain, such as KNN(net, ...)."
        raise UserError(f"Sweep.monitor = {sweep.monitor!r}: is {type(monitor).__name__}, which watches no pretraining. {cure}")
    if monitor.in_parts():
        rule = f"is {type(monitor).__name__}, which takes minutes and is measured in parts"
        raise UserError(f"Sweep.monitor = {sweep.monitor!r}: {rule}. Watch a measure of seconds, such as KNN(net, ...).")
    if any(isinstance(part, Loss) and part.contrastive for part in _own_parts(monitor)):
        rule = "measures a contrastive loss, whose value depends on temperature and batch, so it tells nothing across candidates"
        raise UserError(f"Sweep.monitor = {sweep.monitor!r}: {rule}. Watch a downstream signal, such as KNN(net, ...).")
    if monitor.label_free and sweep.trials - sweep.window < FEWEST:
        rule = f"is label-free and prunes only after {FEWEST} complete candidates; no candidate of {sweep.trials} has so many before it"
        cure = f"Raise trials to {sweep.window + FEWEST} or above, or watch KNN(net, ...)."
        raise UserError(f"Sweep.monitor = {sweep.monitor!r}: {rule}. {cure}")


def _own_parts(stage: Stage) -> Iterator[Component]:
    """The components inside a stage, without those of the stages that it needs."""
    waiting: list[Component] = [stage]
    while waiting:
        parts = [part for part in nested(waiting.pop()) if not isinstance(part, Stage)]
        yield from parts
        waiting += parts
