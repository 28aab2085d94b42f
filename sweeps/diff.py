"""Two stages, or two sweeps, side by side: what differs in what they are, how they were made and what came out."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.statistics import Interval, distinct, interval
from analysis.table import Cell, Table
from contrast.component import UserError
from contrast.stage import Metrics
from sweeps import candidate as state
from sweeps.candidate import Saved, maker
from sweeps.declared import read_declared, read_objectives
from sweeps.event import number
from sweeps.objective import best_first
from sweeps.reach import Swept, read_sweep
from sweeps.store import Record, Store, read_record

OFF = "off"


@dataclass(frozen=True)
class Row:
    """One thing that both have or one has: what it is, and how each has it; None where one has it not."""

    what: str
    a: object
    b: object


@dataclass(frozen=True)
class Difference:
    """What was compared, and under headings what differs; results and counts stand there even if they agree."""

    kind: str
    a: str
    b: str
    parts: dict[str, tuple[Row, ...]]

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {"kind": self.kind, "a": self.a, "b": self.b} | {name: [asdict(row) for row in rows] for name, rows in self.parts.items()}

    def tables(self) -> list[Table]:
        """A table for each heading under which something differs; see also `agree`."""
        found = []
        for name, rows in self.parts.items():
            cells: list[tuple[Cell, ...]] = [(row.what, _cell(row.a), _cell(row.b)) for row in rows]
            found += [Table(name, ("", self.a, self.b), tuple(cells))] if cells else []
        return found

    @property
    def agree(self) -> list[str]:
        """The headings under which nothing differs."""
        return [name for name, rows in self.parts.items() if not rows]


def diff(root: Path, a: str, b: str) -> Difference:
    """Two sweeps by name, or two finished stages by the first digits of their fingerprints."""
    sweeps = [(root / "sweeps" / name / "candidates").is_dir() and not name.startswith(".") for name in (a, b)]
    if all(sweeps):
        folders = Store(root).folders()
        one, other = (read_sweep(folders, root / "sweeps" / name) for name in (a, b))
        return diff_sweeps(root, one, other, folders)
    if any(sweeps):
        name, unknown = (a, b) if sweeps[0] else (b, a)
        raise UserError(f"diff {a} {b}: {name!r} is a sweep below {str(root)!r}, and {unknown!r} is none. Name two sweeps, or two stages.")
    return diff_stages(*(_record(root, digits) for digits in (a, b)))


def diff_stages(a: Record, b: Record) -> Difference:
    """Two finished stages: fields, versions and sources that differ, what they were made with, results side by side."""
    made = [
        one.made_by | {"finished": _day(one.finished), "seconds": f"{one.seconds:.1f}", "epochs": str(len(one.curve))} for one in (a, b)
    ]
    results = [{"outcome": one.outcome, **one.results} for one in (a, b)]
    parts = {
        "fields": _rows(flat(a.value), flat(b.value), missing=OFF),
        "made by": _rows(*made),
        "results": _rows(*results, everything=True),
    }
    return Difference("stages", f"{a.stage} {a.fingerprint[:8]}", f"{b.stage} {b.fingerprint[:8]}", parts)


def diff_sweeps(root: Path, a: Swept, b: Swept, folders: Mapping[str, Path]) -> Difference:
    """Two sweeps: what they declare, the ranges their candidates were drawn from, candidates, results, which stages they share."""
    both = (a, b)
    told = [read_declared(root / "sweeps" / one.name) for one in both]
    declarations = [{key: _text(value) for key, value in one.items() if key != "name"} for one in told]
    parts = {
        "declared": _rows(*declarations),
        "knobs": _rows(*map(ranges, both), everything=True),
        "candidates": _rows(*map(_counts, both), everything=True),
        "results": _rows(*(_results(root, one) for one in both), everything=True),
        "stages": _shared(a, b, folders),
    }
    return Difference("sweeps", a.name, b.name, parts)


def flat(value: Mapping[str, object], path: str = "") -> dict[str, object]:
    """A description as one entry a field: `loss` = `NTXent v1`, `loss.temperature` = 0.1; a user's class has its source's digest."""
    source = f", source {str(value['source'])[:8]}" if "source" in value else ""
    found: dict[str, object] = {path or "class": f"{value['class']} v{value['version']}{source}"}
    fields = value["fields"]
    assert isinstance(fields, dict)
    for name, item in fields.items():
        found |= _flat_item(item, f"{path}.{name}" if path else name)
    return found


def _flat_item(item: object, path: str) -> dict[str, object]:
    if isinstance(item, dict):
        return flat(item, path)
    if isinstance(item, list) and any(isinstance(part, dict) for part in item):
        return {key: value for i, part in enumerate(item) for key, value in _flat_item(part, f"{path}[{i}]").items()}
    return {path: _text(item) if isinstance(item, list) else item}


def ranges(sweep: Swept) -> dict[str, object]:
    """The range of each knob as the candidates were drawn from it, several where it was changed."""
    found: dict[str, dict[str, None]] = {}
    for _, saved in sorted(sweep.candidates.items()):
        for name, distribution in saved.distributions.items():
            found.setdefault(name, {})[_range(distribution)] = None
    return {name: "; ".join(texts) for name, texts in found.items()}


def _range(distribution: str) -> str:
    told = json.loads(distribution)
    given = told["attributes"]
    if "choices" in given:
        return f"one of {_text(given['choices'])}"
    step = f", step {number(given['step'])}" if given.get("step") not in (None, 1) else ""
    return f"{number(given['low'])} to {number(given['high'])}{', log' if given.get('log') else ''}{step}"


def _counts(sweep: Swept) -> dict[str, object]:
    """Candidates by state, and the seeds of each phase."""
    found: dict[str, object] = {"all": len(sweep.candidates)}
    for verdict in (state.OPEN, state.COMPLETE, state.PRUNED, state.DIVERGED, state.FAILED):
        count = sum(saved.state == verdict for saved in sweep.candidates.values())
        found |= {verdict: count} if count else {}
    for phase in ("search", "confirm"):
        seeds = {r["seed"] for saved in sweep.candidates.values() for r in saved.replicates if r["phase"] == phase}
        found |= {f"seeds of {phase}": _text(sorted(seeds))} if seeds else {}
    return found


def _results(root: Path, sweep: Swept) -> dict[str, object]:
    """Of each arm the metrics over seeds of its best confirmed candidate, else of its best one in the search."""
    objectives = read_objectives(root / "sweeps" / sweep.name)
    found: dict[str, object] = {}
    for label in dict.fromkeys(saved.label for _, saved in sorted(sweep.candidates.items())):
        arm = [saved for _, saved in sorted(sweep.candidates.items()) if saved.label == label]
        # Values of other objectives, which the sweep had when these were judged, do not say who is best now.
        ordered = best_first((saved for saved in arm if len(saved.values or ()) == len(objectives)), objectives)
        best = next((saved for saved in (*ordered, *arm) if _complete(saved, "confirm")), ordered[0] if ordered else None)
        if best is None:
            found[f"{label} best".strip()] = "none" if objectives else "not known: what was judged is not written down"
            continue
        replicates = _complete(best, "confirm") or _complete(best, "search")
        for key in dict.fromkeys(key for metrics, _ in replicates for key in metrics):
            values = distinct((maker(stages, key), metrics[key]) for metrics, stages in replicates if key in metrics)
            found[f"{label} {key}".strip()] = _over_seeds(values)
    return found


def _complete(saved: Saved, phase: str) -> list[tuple[Metrics, dict[str, str]]]:
    """The metrics of the complete replicates of a phase, and the fingerprints of what returned them."""
    return [(r["metrics"], r["stages"]) for r in saved.replicates if r["phase"] == phase and r["state"] == state.COMPLETE]


def _over_seeds(values: list[float]) -> Interval | str:
    return interval(values) if all(map(math.isfinite, values)) else "not finite"


def _shared(a: Swept, b: Swept, folders: Mapping[str, Path]) -> tuple[Row, ...]:
    """Of each class the stages that both need, and those that only one does."""
    kinds = {identity: folders[identity].parent.name if identity in folders else "not begun" for identity in (*a.needs, *b.needs)}
    both = set(a.needs) & set(b.needs)
    rows = []
    for kind in sorted(set(kinds.values())):
        shared = sum(kinds[identity] == kind for identity in both)
        alone = [sum(kinds[identity] == kind for identity in set(one.needs) - both) for one in (a, b)]
        rows.append(Row(kind, f"{shared} shared, {alone[0]} alone", f"{shared} shared, {alone[1]} alone"))
    return tuple(rows)


def _rows(a: Mapping[str, object], b: Mapping[str, object], *, missing: object = None, everything: bool = False) -> tuple[Row, ...]:
    keys = dict.fromkeys([*a, *b])
    rows = [Row(key, a.get(key, missing), b.get(key, missing)) for key in keys]
    return tuple(row for row in rows if everything or row.a != row.b)


def _record(root: Path, digits: str) -> Record:
    found = Store(root).find(digits)
    if len(found) != 1:
        which = ", ".join(path.name for path in found[:5]) or "none"
        cure = "Give digits of one fingerprint, or the name of a sweep there."
        raise UserError(f"{digits}: names {len(found)} stages below {str(root)!r} ({which}) and no sweep. {cure}")
    record = read_record(found[0] / "record.json")
    if record is None:
        raise UserError(f"{digits}: has no finished record below {str(root)!r}, so there is nothing to compare. See `logs {digits}`.")
    return record


def _text(value: object) -> object:
    """A value of a file as people write it."""
    if isinstance(value, list):
        return ", ".join(str(_text(item)) for item in value) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(item)}" for key, item in value.items())
    return value


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, str | int | float | Interval) else str(value)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
