"""What another sweep under the same root found enters a search before its first draw.

Which results these are is written down when the sweep begins, so draws do not change when the other sweep grows or goes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from contrast.component import UserError
from sweeps import candidate as state
from sweeps.candidate import CandidateFiles, Saved
from sweeps.seal import unsealed
from sweeps.search import fixed
from sweeps.study import Earlier, Told
from sweeps.sweep import Knob, Sweep, call_space

NOTE = "warm_start"


@dataclass(frozen=True)
class WarmStart:
    """The complete candidates of the sweep called `name`: arm label, knobs, and the metrics of each seed of their search."""

    name: str | None = None
    found: tuple[dict[str, Any], ...] = field(default=())

    @property
    def noted(self) -> dict[str, Any]:
        """As it is written down."""
        return {"name": self.name, "found": list(self.found)}

    def of(self, sweep: Sweep, label: str, arm: Mapping[str, Any]) -> list[Earlier]:
        """Those of one arm, judged by this sweep's objectives; `UserError` for knobs that its space does not draw."""
        mine = [one for one in self.found if one["arm"] == label]
        told = [(one, _told(sweep, one["seeds"])) for one in mine]
        return [_earlier(sweep, arm, one, outcome) for one, outcome in told if all(map(math.isfinite, outcome.values or ()))]


def warm_start(sweep: Sweep, folder: Path) -> WarmStart:
    """What the sweep in `folder` began with, or begins with now.

    Raises `UserError` when it began otherwise, when the other sweep beside it has nothing, or is not there.
    """
    began = folder / f"{NOTE}.json"
    if any((folder / "candidates").glob("*.json")):
        noted = WarmStart(**_read(began)) if began.exists() else WarmStart()
        if noted.name != sweep.warm_start:
            cure = "Leave it as it was, or give the sweep another name; finished stages are shared all the same."
            raise UserError(f"Sweep.warm_start = {sweep.warm_start!r}: the sweep began with {noted.name!r}. {cure}")
        return WarmStart(noted.name, tuple(noted.found))
    if sweep.warm_start is None:
        return WarmStart()
    others = CandidateFiles(folder.parents[1], sweep.warm_start).read()
    if not others:
        there = sorted(path.name for path in folder.parent.glob("*") if any((path / "candidates").glob("*.json")))
        cure = f"Name one of {', '.join(there)}." if there else "Run it first, or leave out warm_start=."
        raise UserError(f"Sweep.warm_start = {sweep.warm_start!r}: there is no such sweep under {str(folder.parents[1])!r}. {cure}")
    labels = {label for label, _ in sweep.arm_list}
    found = tuple(_noted(saved) for saved in others.values() if saved.state == state.COMPLETE and saved.label in labels)
    if not found:
        cure = "Wait until it has results, or leave out warm_start=."
        raise UserError(f"Sweep.warm_start = {sweep.warm_start!r}: has no complete candidate of an arm of {sweep.name!r}. {cure}")
    return WarmStart(sweep.warm_start, found)


def check_warm_start(sweep: Sweep, root: Path) -> None:
    """Refuse what cannot be begun with, before anything is written."""
    found = warm_start(sweep, root / "sweeps" / sweep.name)
    for label, arm in sweep.arm_list:
        found.of(sweep, label, arm)


def _noted(saved: Saved) -> dict[str, Any]:
    seeds = [at["metrics"] for at in saved.replicates if at["phase"] == "search" and at["state"] == state.COMPLETE]
    return {"number": saved.number, "arm": saved.label, "knobs": saved.knobs, "seeds": seeds}


def _told(sweep: Sweep, seeds: list[dict[str, float]]) -> Told:
    try:
        values = tuple(objective.over_seeds([objective.of_seed(metrics) for metrics in seeds]) for objective in sweep.objectives)
        violations = {one.name: one.violation(seeds) for one in sweep.constraints}
    except UserError as error:
        raise UserError(f"Sweep.warm_start = {sweep.warm_start!r}: was judged by other metrics. {error}") from error
    return Told(TrialState.COMPLETE, values, violations=violations)


def _earlier(sweep: Sweep, arm: Mapping[str, Any], one: Mapping[str, Any], outcome: Told) -> Earlier:
    point, knobs = fixed(one["knobs"]), one["knobs"]
    whose = f"Sweep.warm_start = {sweep.warm_start!r}: candidate {one['number']} has other knobs"
    cure = "Start from a sweep of the same knobs, or leave out warm_start=."
    try:
        call_space(sweep, point, sweep.seeds[0], "search", arm)
    except UserError as error:
        raise UserError(f"{whose}: {error} {cure}") from error
    surplus = {name: value for name, value in knobs.items() if name not in point.params}
    if surplus:
        name, value = next(iter(surplus.items()))
        raise UserError(f"{whose}: {name} = {value!r} is not drawn by this space. {cure}")
    drawn: dict[str, Knob] = dict(point.params)
    return Earlier(drawn, dict(point.distributions), outcome)


def _read(path: Path) -> dict[str, Any]:
    try:
        return unsealed(NOTE, path.read_bytes())
    except (OSError, ValueError) as error:
        cure = "Give the sweep another name; finished stages are shared all the same."
        raise UserError(f"{path}: is not what the sweep began with ({error}). {cure}") from error
