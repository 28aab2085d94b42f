"""Freeing disk: what no sweep needs goes first, until the store is within its quota. It is said before it is done.

Kept, whatever the quota: every record that a candidate of any sweep below the root reaches, with the attempt that made it; of
unfinished stages that are still wanted, the attempt that a new one would go on from; and all that a living driver works on.
In this order the rest goes: attempts at stages that only pruned or failed candidates wanted; attempts and training states that
no result rests on; stages that no candidate reaches, oldest first.
"""

import contextlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis.table import Cell, Table
from contrast.component import UserError
from contrast.saved import STATE, read_saved, saved_epoch
from sweeps.attempts import attempts
from sweeps.claims import Claims, all_claims, living
from sweeps.lock import driver, passing
from sweeps.reach import Swept, all_sweeps
from sweeps.store import Store, read_record, remove_stage

PRUNED, SPARE, UNREACHED = "attempts of pruned candidates", "attempts and states without a result", "stages that no sweep needs"
ORDER = (PRUNED, SPARE, UNREACHED)
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class Part:
    """Something that can be freed by itself: all of a stage, an attempt's content, or single files. `age`: last written."""

    kind: str
    stage: str
    fingerprint: str
    path: Path
    files: int
    size: int
    age: float


@dataclass(frozen=True)
class Plan:
    """What is freed to come within a quota, in order, and the bytes of the store now."""

    parts: tuple[Part, ...]
    total: int

    @property
    def freed(self) -> int:
        """Bytes that go."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True)
class Survey:
    """All that could be freed, in the order in which it would be; the bytes of the store, and what each sweep reaches of them."""

    loose: tuple[Part, ...]
    total: int
    reached: dict[str, int]

    @property
    def least(self) -> int:
        """Bytes that stay whatever the quota."""
        return self.total - sum(part.size for part in self.loose)

    def within(self, quota: int) -> Plan:
        """What is freed for a quota, no more than must be; raises `UserError` when what has to stay is larger."""
        if self.least > quota:
            most = ", ".join(
                f"{name} {size(self.reached[name])}" for name in sorted(self.reached, key=lambda name: -self.reached[name])[:5]
            )
            rule = f"the sweeps and what runs now need {size(self.least)} of the store ({most or 'no sweep'}); nothing was removed"
            raise UserError(f"--quota = {size(quota)}: {rule}. Give a larger quota, or `forget` a sweep first.")
        chosen: list[Part] = []
        left = self.total
        for part in self.loose:
            if left > quota or not part.files:  # an empty folder: removing its stage was cut off
                chosen.append(part)
                left -= part.size
        return Plan(tuple(chosen), self.total)


def parsed_size(text: str) -> int:
    """Bytes of `500MB` or `20GB`, in powers of ten; raises `UserError` for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?B)", text.strip().upper())
    if found is None:
        raise UserError(f"--quota = {text!r}: is no size. Write a number and B, KB, MB, GB or TB, such as 500MB or 20GB.")
    return int(float(found[1]) * UNITS[found[2]])


def size(count: float) -> str:
    """Bytes as people read them."""
    unit = next((unit for unit in reversed(UNITS) if count >= UNITS[unit]), "B")
    return f"{count / UNITS[unit]:.4g} {unit}"


def surveyed(root: Path) -> Survey:
    """All that could be freed below a root, in order."""
    sweeps = all_sweeps(root)
    folders = Store(root).folders()
    claimed = {below for one, claim in all_claims(root).items() if living(root, claim) is not None for below in (one, *claim.needs)}
    loose = [part for folder in folders.values() if folder.name not in claimed for part in _loose(folder, sweeps)]
    loose.sort(key=lambda part: (ORDER.index(part.kind), part.age, str(part.path)))
    sizes = {name: _measured(folder)[1] for name, folder in folders.items()}
    reached = {sweep.name: sum(sizes.get(name, 0) for name in sweep.needs) for sweep in sweeps}
    return Survey(tuple(loose), sum(sizes.values()), reached)


def free(root: Path, plan: Plan) -> list[Part]:
    """Do it; returns what was left after all, because a driver has begun to need it since."""
    with passing(root) as lock:
        claims = Claims(root, lock)
        needed = {stage for sweep in all_sweeps(root) for stage in sweep.needs}
        kept = [part for part in plan.parts if (part.kind == UNREACHED and part.fingerprint in needed) or not _freed(claims, part)]
    for folder in (root / "sweeps").glob(".*"):
        if driver(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)  # of a command that was killed
    return kept


def freed_table(plan: Plan, quota: int) -> Table:
    """What goes, by kind and class of stage."""
    groups: dict[tuple[str, str], list[Part]] = defaultdict(list)
    for part in plan.parts:
        groups[part.kind, part.stage].append(part)
    ordered = sorted(groups, key=lambda group: (ORDER.index(group[0]), group[1]))
    rows: list[tuple[Cell, ...]] = []
    for kind, name in ordered:
        parts = groups[kind, name]
        rows.append((kind, name, len(parts), sum(part.files for part in parts), size(sum(part.size for part in parts))))
    footer = f"frees {size(plan.freed)}: the store takes {size(plan.total)}, then {size(plan.total - plan.freed)} of {size(quota)}"
    return Table("What goes", ("what", "class", "count", "files", "bytes"), tuple(rows), footer)


def _loose(folder: Path, sweeps: Iterable[Swept]) -> Iterator[Part]:
    """What of a stage can go."""
    reaching = [sweep for sweep in sweeps if folder.name in sweep.needs]
    if not reaching:
        yield _part(UNREACHED, folder, folder)
        return
    record = read_record(folder / "record.json")
    tried = [*attempts(folder), *sorted(folder.glob("record.json.unsound-*"))]
    if record is not None:
        state = folder / record.attempt / STATE
        kind, paths = SPARE, [path for path in (*tried, state) if path.name != record.attempt]
    elif any(folder.name in sweep.wanted for sweep in reaching):
        newest = _to_go_on_from(folder)
        kind, paths = SPARE, [path for path in tried if path != newest]
    else:
        kind, paths = PRUNED, tried
    yield from (part for path in paths if (part := _part(kind, folder, path)).files)


def _to_go_on_from(folder: Path) -> Path | None:
    """The attempt whose state a new attempt takes: of the sound ones the newest; else simply the last."""
    found = sorted(attempts(folder), key=lambda attempt: (saved_epoch(attempt), attempt.name), reverse=True)
    return next((attempt for attempt in found if read_saved(attempt)[0]), found[0] if found else None)


def _part(kind: str, folder: Path, path: Path) -> Part:
    return Part(kind, folder.parent.name, folder.name, path, *_measured(path))


def _measured(path: Path) -> tuple[int, int, float]:
    """Files, bytes, and when the last of them was written; what vanishes meanwhile does not count."""
    paths = [path] if path.is_file() else [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    found = []
    for one in paths:
        with contextlib.suppress(FileNotFoundError):
            found.append(one.stat())
    return len(found), sum(one.st_size for one in found), max((one.st_mtime for one in found), default=0.0)


def _freed(claims: Claims, part: Part) -> bool:
    """Remove a part, unless a driver works on its stage."""
    if not claims.take(part.fingerprint, ()):
        return False
    try:
        if part.kind == UNREACHED:
            remove_stage(part.path)
        elif part.path.is_dir():
            _emptied(part.path)
        else:
            part.path.unlink(missing_ok=True)
        return True
    finally:
        claims.give_back(part.fingerprint)


def _emptied(attempt: Path) -> None:
    """Remove what an attempt left; its folder stays, since its name says when the stage was first begun."""
    for path in attempt.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
