"""What the sweeps below a root need, told from files alone: no script is read, no stage is built.

A candidate's file states the fingerprints of its replicates' stages and what each of them needs; where an older version left
that out, the records say it: the description of a stage nests those of the stages it needs, and hashes to their fingerprints.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from contrast.component import UserError
from sweeps import candidate as state
from sweeps.candidate import Saved, read_candidate
from sweeps.lock import Owner, driver
from sweeps.seal import unsealed
from sweeps.store import Store, read_record

Needs = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Swept:
    """One sweep: its candidates, what every stage of theirs needs at once, and who drives it now.

    `wanted` are the stages of replicates that are open or complete: what is unfinished of the others will not be gone on with.
    """

    name: str
    candidates: dict[int, Saved]
    needs: dict[str, tuple[str, ...]]
    wanted: frozenset[str]
    driver: Owner | None


def all_sweeps(root: Path) -> list[Swept]:
    """The sweeps below a root by name, and commands such as `one` that run now."""
    folders = sorted(path for path in (root / "sweeps").glob("*") if path.is_dir())
    stages = Store(root).folders()
    found = [read_sweep(stages, folder) for folder in folders]
    return [sweep for sweep in found if sweep.driver is not None or not sweep.name.startswith(".")]


def read_sweep(folders: Mapping[str, Path], folder: Path) -> Swept:
    """One sweep; `folders` are those of all stages. Raises `UserError` about a file that cannot be read: what it needs is unknown."""
    owner = driver(folder)
    candidates = {saved.number: saved for saved in map(read_candidate, sorted((folder / "candidates").glob("*.json")))}
    needs: dict[str, tuple[str, ...]] = {}
    wanted: set[str] = set()
    for stages, told, goes_on in [*_replicates(candidates.values()), *_across(folder)]:
        mine = {identity: tuple(below) for identity, below in told.items()}
        for top in stages.values():
            if top not in mine:
                mine |= {top: nested(folders, top)} | dict.fromkeys(nested(folders, top), ())
        needs |= mine
        wanted |= set(mine) if goes_on else set()
    return Swept(folder.name, candidates, needs, frozenset(wanted), owner)


def _replicates(candidates: Iterable[Saved]) -> Iterator[tuple[dict[str, str], dict[str, list[str]], bool]]:
    for saved in candidates:
        for replicate in saved.replicates:
            yield replicate["stages"], replicate.get("needs", {}), replicate["state"] in (state.OPEN, state.COMPLETE)


def _across(folder: Path) -> Iterator[tuple[dict[str, str], dict[str, list[str]], bool]]:
    path = folder / "across.json"
    if path.exists():
        try:
            found = unsealed("across", path.read_bytes())
            yield found["stages"], found["needs"], True
        except (ValueError, KeyError) as error:
            raise UserError(f"{path}: is not as it was written ({error}). Delete it; `run` writes it again.") from error


def nested(folders: Mapping[str, Path], identity: str) -> tuple[str, ...]:
    """The stages nested in a stage, however deep, as its record has them; none where there is no record."""
    record = read_record(folders[identity] / "record.json") if identity in folders else None
    inside = {found for found, _ in described(record.value)} - {identity} if record is not None else set()
    return tuple(sorted(inside & set(folders)))


def described(value: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Every component in a description, itself first, each with its fingerprint."""
    if isinstance(value, dict):
        if {"class", "version", "fields"} <= set(value):
            text = json.dumps(value, sort_keys=True, separators=(",", ":"))
            yield hashlib.sha256(text.encode()).hexdigest()[:32], value
        for item in value.values():
            yield from described(item)
    elif isinstance(value, list):
        for item in value:
            yield from described(item)


def above(needs: Needs, below: Iterable[str]) -> set[str]:
    """All that needs any of `below`, at once or through others, and these themselves."""
    found = set(below)
    while more := {identity for identity, direct in needs.items() if identity not in found and not found.isdisjoint(direct)}:
        found |= more
    return found
