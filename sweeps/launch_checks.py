"""What is checked before a sweep starts: that its stages can be built at every end of every range, and fed by the data."""

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrast.component import UserError, walk
from contrast.data.dataset import Dataset, Phase
from contrast.stage import Stage
from sweeps.calling import call_with
from sweeps.engines.processes import number
from sweeps.fingerprint import fingerprint
from sweeps.grid import combinations
from sweeps.idle import refuse_idle_without_knobs
from sweeps.objective import matches
from sweeps.resources import Resources, cores_only, declared, parsed
from sweeps.rotations import refuse_seen_target, refuse_shared_choice
from sweeps.samplers import Grid, built
from sweeps.search import CornerTrial, check_given, corners, fixed
from sweeps.store import Store
from sweeps.sweep import Knob, Run, Sweep, call_across, call_space, refuse_idle_monitor, refuse_test_split


def searches(sweep: Sweep) -> bool:
    """Whether the space draws knobs that are free; if not, or on a grid, a sweep runs once, on its seeds, in phase "confirm"."""
    if isinstance(sweep.sampler, Grid):
        check_given(sweep, "confirm")
        for _, arm in sweep.arm_list:
            combinations(sweep, arm, "confirm")
        return False
    check_given(sweep, "search")
    drawn = any(set(corners(sweep, arm, "search")[0][0]) - set(sweep.fixed) for _, arm in sweep.arm_list)
    if drawn and not sweep.objectives:
        raise UserError("Sweep.maximize = None: the space draws knobs, so something must be judged. Name a key in maximize= or minimize=.")
    if not drawn:
        refuse_idle_without_knobs(sweep)
    else:
        built(sweep.sampler, sweep.sampler_seed, sweep.sampler_seed)  # refuses what makes no sampler
    return drawn


def checker(data: Path | None, store: Store | None = None) -> Callable[[dict[str, Stage], Phase], None]:
    """A function that raises `UserError` for stages that the phase forbids or the data cannot feed.

    Files of a stage that `store` holds are not looked for: it will not run again.
    """

    @cache
    def size(dataset: Dataset) -> int:
        images = call_with(f"{type(dataset).__name__}.load", dataset, partial(dataset.load, data))
        if not isinstance(images.pixels, np.ndarray) or images.pixels.dtype != np.uint8:
            found = type(images.pixels).__name__
            if isinstance(images.pixels, np.ndarray):
                found += f" of {images.pixels.dtype}"
            rule = f"gives pixels as {found}, and images are an ndarray of uint8, 0 to 255"
            raise UserError(
                f"{type(dataset).__name__}.load: {rule}. Multiply what is 0 to 1 by 255, round, and convert by .astype(np.uint8)."
            )
        return len(images.labels)

    @cache
    def check_files(stage: Stage) -> None:
        reads = type(stage).check_files is not Stage.check_files
        if reads and (store is None or store.held(stage, fingerprint(stage)) is None):
            call_with(f"{type(stage).__name__}.check_files", stage, partial(stage.check_files, data))

    def check(stages: dict[str, Stage], phase: Phase) -> None:
        for key, stage in stages.items():
            fingerprint(stage)  # refuses what has no identity
            parts = list(walk(stage))
            if phase == "search":
                refuse_test_split(stage, key, parts)
            refuse_seen_target(key, stage)
            for part in parts:
                if isinstance(part, Dataset):
                    size(part)
                elif isinstance(part, Stage):
                    call_with(f"{type(part).__name__}.check", part, partial(part.check, size))
                    check_files(part)

    return check


def check_corners(sweep: Sweep, searching: bool, check: Callable[[dict[str, Stage], Phase], None]) -> list[Stage]:
    """Build and check the stages at every end of every knob's range, so that a bad value is found before any training.

    The keys that the sweep names must be there, and `across` must be able to compare. Returns what was built.
    """
    phases: list[Phase] = ["search", "confirm"] if searching and sweep.confirm is not None else ["search" if searching else "confirm"]
    built: list[Stage] = []
    runs: list[Run] = []
    keys: dict[str, Stage] = {}
    for label, arm in sweep.arm_list:
        for phase in phases:
            found = corners(sweep, arm, phase)
            for _, stages in found:
                check(stages, phase)
                _check_keys(sweep, label, stages)
                if phase == "search":
                    refuse_idle_monitor(sweep, stages)
                    refuse_shared_choice(sweep, stages)
                built += stages.values()
                keys |= stages
        seeds = sweep.confirm.seeds if searching and sweep.confirm is not None else sweep.seeds
        knobs, first = found[0]
        for seed in dict.fromkeys([*sweep.seeds, *seeds]):
            _check_alike(sweep, arm, seed, phases[-1] if seed in seeds else phases[0], knobs, first)
        runs += [Run(label, knobs, seed, call_space(sweep, fixed(knobs), seed, phases[-1], arm)) for seed in seeds]
    for pattern in sweep.headline:
        if not _may_match(pattern, keys):
            raise UserError(f"Sweep.headline = {pattern!r}: {_rule(keys)}")
    if sweep.across is not None and phases[-1] == "confirm":
        compared = call_across(sweep, runs)
        check(compared, "confirm")
        built += compared.values()
    return built


def check_resources(options: Sequence[str], function: Callable[[Stage], Resources] | None, built: Iterable[Stage]) -> None:
    """Refuse `--resources` that cannot be read or speak of a stage which the sweep has not, and a function that gives no resources."""
    resources = parsed(list(options), declared(function) if function is not None else cores_only)
    units = {part for stage in built for part in walk(stage) if isinstance(part, Stage)}
    for unit in units:
        if resources(unit).gpus >= 2 and not unit.parallel:
            rule = f"{type(unit).__name__} runs in one process, so a second GPU has no effect"
            raise UserError(f"--resources = {resources(unit)}: {rule}. Ask for gpu:1 or a part of it.")
        unit.check_processes(number(unit, resources(unit)))
    known = sorted({type(unit).__name__ for unit in units})
    for option in options:
        name = option.partition("=")[0]
        if name not in known:
            raise UserError(f"--resources = {option!r}: the sweep has no stage {name}. Name one of {', '.join(known)}.")


def check_machine(resources: Callable[[Stage], Resources], built: Iterable[Stage]) -> None:
    """Refuse units that this machine, alone and without Ray, has no room for."""
    cores, cards = os.cpu_count() or 1, torch.cuda.device_count()
    for shape in {resources(part) for stage in built for part in walk(stage) if isinstance(part, Stage)}:
        if shape.cpus > cores or shape.gpus > cards:
            raise UserError(f"--resources = {shape}: this machine has cpu:{cores} gpu:{cards}. Ask for less, or leave out --engine inline.")


def check_address(address: str | None) -> None:
    """Refuse a cluster's `host:port` at which nothing listens; Ray would try it for minutes."""
    if address is None or address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        cure = "Give host:port of a running cluster in RAY_ADDRESS, or unset it for one on this machine."
        raise UserError(f"RAY_ADDRESS = {address!r}: no Ray cluster answers there ({error}). {cure}") from error


def check_folders(root: Path, sweep: str) -> None:
    """Refuse a file where the run will want a folder, which it would find only at the end."""
    for path in (root / "sweeps", root / "sweeps" / sweep, root / "reports", root / "reports" / sweep, root / "mlartifacts"):
        if path.exists() and not path.is_dir():
            raise UserError(f"{path}: must be a folder, and is a file. Move it away, or name another --root.")


def _check_keys(sweep: Sweep, label: str, stages: Mapping[str, Stage]) -> None:
    of = f" of arm {label!r}" if label else ""
    if sweep.monitor is not None and sweep.monitor not in stages:
        raise UserError(f"Sweep.monitor = {sweep.monitor!r}: the space{of} returns no such key. Name one of {', '.join(stages)}.")
    for constraint in sweep.constraints:
        if not _may_match(constraint.key, stages):
            raise UserError(f"Sweep.constraints: {constraint!r}: {_rule(stages, of)}")
    for objective in sweep.objectives:
        if not _may_match(objective.pattern, stages):
            raise UserError(f"Sweep.{objective.direction} = {objective.pattern!r}: {_rule(stages, of)}")


def _check_alike(
    sweep: Sweep, arm: dict[str, Any], seed: int, phase: Phase, knobs: Mapping[str, Knob], stages: Mapping[str, Stage]
) -> None:
    """Refuse a space that draws other knobs, or returns other keys, for another seed or in another phase: candidates would not compare."""
    trial = CornerTrial({}, knobs)
    found = call_space(sweep, trial, seed, phase, arm)
    for what, mine, first in (("draws knobs", set(trial.knobs), set(knobs)), ("returns keys", set(found), set(stages))):
        if mine != first:
            differs = ", ".join(sorted(mine ^ first))
            where = f"{what} that depend on seed or phase ({differs}, at seed {seed} in phase {phase!r})"
            raise UserError(f"space of sweep {sweep.name!r}: {where}. Let them depend on the arm and on earlier draws alone.")


def _rule(keys: Iterable[str], of: str = "") -> str:
    return f"matches none of the keys that the space{of} returns. Name one of {', '.join(keys)}; * stands for one segment."


def _may_match(pattern: str, keys: Iterable[str]) -> bool:
    """Whether a pattern names a key, or a further result of one: `pgd/0/eps_2` of `pgd/0`, which only a run can tell."""
    segments = pattern.split("/")
    return any(matches("/".join(segments[:n]), keys) for n in range(1, len(segments) + 1))
