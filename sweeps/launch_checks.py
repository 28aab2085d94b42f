"""What is checked before a sweep starts: that its stages can be built at every end of every range, and fed by the data."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from contrast.component import UserError, walk
from contrast.data.dataset import Dataset, Phase
from contrast.stage import Stage
from sweeps.search import corners
from sweeps.sweep import Sweep, refuse_test_split


def searches(sweep: Sweep) -> bool:
    """Whether the space draws knobs; one that draws nothing runs once, on its seeds, in phase "confirm"."""
    drawn = any(corners(sweep, arm, "search")[0][0] for _, arm in sweep.arm_list)
    if not drawn and sweep.confirm is not None:
        raise UserError(f"Sweep.confirm = {sweep.confirm!r}: the space draws no knobs, so there is nothing to confirm. Leave out confirm=.")
    if drawn and sweep.objective is None:
        raise UserError("Sweep.maximize = None: the space draws knobs, so something must be judged. Name a key in maximize= or minimize=.")
    return drawn


def checker(data: Path | None) -> Callable[[dict[str, Stage], Phase], None]:
    """A function that raises `UserError` for stages that the phase forbids or the data cannot feed."""

    @cache
    def size(dataset: Dataset) -> int:
        return len(dataset.load(data).labels)

    def check(stages: dict[str, Stage], phase: Phase) -> None:
        for key, stage in stages.items():
            parts = list(walk(stage))
            if phase == "search":
                refuse_test_split(stage, key, parts)
            for part in parts:
                if isinstance(part, Dataset):
                    size(part)
                elif isinstance(part, Stage):
                    part.check(size)

    return check


def check_corners(sweep: Sweep, searching: bool, check: Callable[[dict[str, Stage], Phase], None]) -> None:
    """Build and check the stages at every end of every knob's range, so that a bad value is found before any training."""
    phases: list[Phase] = ["search", "confirm"] if searching and sweep.confirm is not None else ["search" if searching else "confirm"]
    for _, arm in sweep.arm_list:
        for phase in phases:
            for _, stages in corners(sweep, arm, phase):
                check(stages, phase)
                if sweep.monitor is not None and sweep.monitor not in stages:
                    raise UserError(f"Sweep.monitor = {sweep.monitor!r}: the space returns no such key. It returns {', '.join(stages)}.")
