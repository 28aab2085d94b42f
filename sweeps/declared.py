"""What a sweep declared when it was last launched, as plain data in its folder, for whoever has the files and not the script."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from sweeps import objective
from sweeps.objective import Bound, Objective
from sweeps.store import write_atomically
from sweeps.sweep import Sweep


def write_declared(sweep: Sweep, root: Path) -> None:
    """Write down the declaration beside the sweep's candidates."""
    path = root / "sweeps" / sweep.name / "declared.json"
    text = json.dumps(declared(sweep), indent=1)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)


def declared(sweep: Sweep) -> dict[str, object]:
    """The fields of a sweep by name: functions by their names, everything else as text or numbers; what is off is left out."""
    fields = {field.name: getattr(sweep, field.name) for field in dataclasses.fields(sweep)}
    return {name: _plain(value) for name, value in fields.items() if value not in (None, (), {}, "")}


def read_declared(folder: Path) -> dict[str, object]:
    """What the folder of a sweep says of its declaration; nothing where an older version left that out, or it is torn."""
    try:
        found = json.loads((folder / "declared.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_objectives(folder: Path) -> tuple[Objective, ...]:
    """The objectives of a sweep as `read_declared` tells them, those of `maximize` first; none where it does not."""
    told = read_declared(folder)
    maximize, minimize = _keys(told.get("maximize")), _keys(told.get("minimize"))
    return objective.declared("maximize", maximize) + objective.declared("minimize", minimize)


def _keys(told: object) -> tuple[str | Bound, ...]:
    """The keys of one direction, which may be one, several, or none."""
    several = told if isinstance(told, list) else [] if told is None else [told]
    return tuple(Bound(str(one["key"])) if isinstance(one, dict) else str(one) for one in several)


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {"class": type(value).__name__, **{name: _plain(item) for name, item in inner.items() if item is not None}}
    if isinstance(value, Callable):  # type: ignore[arg-type]
        return getattr(value, "__qualname__", type(value).__qualname__)
    return type(value).__qualname__  # a pruner: its settings have no common form
