"""A candidate is one drawn point of one arm: its knobs, its replicates (one per seed), its state, what came out.

Its file, `sweeps/<name>/candidates/00017.json`, says what was drawn and decided, under a seal; the driver is its only writer
and replaces it whole. Results are not taken from it: they are read from the store by fingerprint, at every launch again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState

from contrast.component import UserError
from contrast.data.dataset import Phase
from contrast.stage import Metrics, Stage
from sweeps.seal import sealed, unsealed
from sweeps.store import write_atomically
from sweeps.study import Kept, Told
from sweeps.sweep import Knob

OPEN, COMPLETE, PRUNED, DIVERGED, FAILED = "open", "complete", "pruned", "diverged", "failed"
STOPPED = "stopped"  # a replicate that was given up because another seed of its candidate diverged or failed


@dataclass
class Replicate:
    """A candidate at one seed in one phase: stages by key, their fingerprints, and the metrics of those that are done.

    `needs`: by the fingerprint of every stage in it, however deep, those of the stages that it needs at once.
    """

    seed: int
    phase: Phase
    stages: dict[str, Stage]
    fingerprints: dict[str, str]
    state: str = OPEN
    metrics: Metrics = field(default_factory=dict)
    reason: str = ""
    needs: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def made_by(self, names: Iterable[str]) -> tuple[str, ...]:
        """The fingerprints of the stages that returned these metrics; equal at two seeds where the metrics do not depend on the seed."""
        return tuple(maker(self.fingerprints, name) for name in names)


@dataclass
class Candidate:
    """One drawn point. `values` are the objectives over the seeds of the search, `n` their number; None and 0 unless complete."""

    number: int
    index: int
    label: str
    arm: dict[str, Any]
    knobs: dict[str, Knob]
    distributions: dict[str, BaseDistribution]
    replicates: list[Replicate] = field(default_factory=list)
    state: str = OPEN
    values: tuple[float, ...] | None = None
    n: int = 0
    intermediate: dict[int, float] = field(default_factory=dict)
    reason: str = ""
    raced: bool = False
    audited: bool = False
    kept: Kept = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Whether it keeps all constraints."""
        return all(violation <= 0 for violation in self.violations.values())

    def of_phase(self, phase: Phase) -> list[Replicate]:
        """The replicates of one phase, in order of seed as declared."""
        return [replicate for replicate in self.replicates if replicate.phase == phase]

    def told(self) -> Told:
        """How it ended, as samplers and pruners see it; a diverged one is PRUNED without values: ranked last."""
        known = {
            COMPLETE: Told(TrialState.COMPLETE, self.values, self.intermediate, self.violations),
            PRUNED: Told(TrialState.PRUNED, None, self.intermediate),
            DIVERGED: Told(TrialState.PRUNED),
            FAILED: Told(TrialState.FAIL),
            OPEN: Told(),
        }
        return known[self.state]


@dataclass(frozen=True)
class Saved:
    """What the file of a candidate says."""

    number: int
    label: str
    knobs: dict[str, Knob]
    distributions: dict[str, str]
    state: str
    values: list[float] | None
    n: int
    intermediate: dict[str, float]
    reason: str
    replicates: list[dict[str, Any]]
    raced: bool = False
    audited: bool = False
    kept: Kept = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Whether it keeps all constraints."""
        return all(violation <= 0 for violation in self.violations.values())

    def needs(self, seed: int, phase: Phase) -> dict[str, tuple[str, ...]]:
        """What a replicate said that its stages need; nothing in a file of an older version."""
        found: dict[str, list[str]] = next((r.get("needs", {}) for r in self.replicates if (r["seed"], r["phase"]) == (seed, phase)), {})
        return {identity: tuple(needs) for identity, needs in found.items()}

    def refuse_drift(self, sweep: str, replicate: Replicate) -> None:
        """Raise `UserError` when the same knobs give other stages than when they were drawn; new keys are welcome."""
        at = (replicate.seed, replicate.phase)
        before: dict[str, str] = next((r["stages"] for r in self.replicates if (r["seed"], r["phase"]) == at), {})
        for key, now in replicate.fingerprints.items():
            was = before.get(key, now)
            if was != now:
                rule = f"was {was[:8]} and is now {now[:8]}: the space changed under a sweep that has begun"
                cure = "Give the changed sweep another name (finished stages are shared all the same), or undo the change."
                raise UserError(f"sweep {sweep!r}: {key} of candidate {self.number} at seed {at[0]} {rule}. {cure}")


class CandidateFiles:
    """The candidates of one sweep on disk. `check` raises when this process may not write them any more."""

    def __init__(self, root: Path, sweep: str, check: Callable[[], None] = lambda: None) -> None:
        self.folder = root / "sweeps" / sweep / "candidates"
        self.check = check

    def read(self) -> dict[int, Saved]:
        """All saved candidates by number."""
        return {saved.number: saved for saved in map(read_candidate, sorted(self.folder.glob("*.json")))}

    def write_across(self, stages: dict[str, str], needs: dict[str, tuple[str, ...]]) -> None:
        """Write down what compares all replicates: fingerprints by key, and by fingerprint what each stage needs."""
        self.note("across", {"stages": stages, "needs": needs})

    def note(self, name: str, data: dict[str, Any]) -> None:
        """Write down something about the sweep beside its candidates, as `name`.json."""
        self.check()
        text = sealed(name, data)
        path = self.folder.with_name(f"{name}.json")
        if not path.exists() or path.read_bytes() != text.encode():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)

    def write(self, candidate: Candidate) -> None:
        """Replace the file of one candidate."""
        self.check()
        self.folder.mkdir(parents=True, exist_ok=True)
        replicates = [
            {"seed": r.seed, "phase": r.phase, "state": r.state, "stages": r.fingerprints, "needs": r.needs}
            | {"metrics": r.metrics, "reason": r.reason}
            for r in candidate.replicates
        ]
        saved = Saved(
            number=candidate.number,
            label=candidate.label,
            knobs=candidate.knobs,
            distributions={name: distribution_to_json(d) for name, d in candidate.distributions.items()},
            state=candidate.state,
            values=None if candidate.values is None else list(candidate.values),
            n=candidate.n,
            intermediate={str(step): value for step, value in candidate.intermediate.items()},
            reason=candidate.reason,
            replicates=replicates,
            raced=candidate.raced,
            audited=candidate.audited,
            kept=candidate.kept,
            violations=candidate.violations,
        )
        path = self.folder / _name(candidate.number)
        text = sealed("candidate", vars(saved))
        if not path.exists() or path.read_bytes() != text.encode():
            write_atomically(path, text)


class Unwritten(CandidateFiles):
    """The candidate files of a sweep for looking only: what a look works out is not written."""

    def write(self, candidate: Candidate) -> None:
        """Nothing."""

    def note(self, name: str, data: dict[str, Any]) -> None:
        """Nothing."""


def read_candidate(path: Path) -> Saved:
    """What the file of a candidate says; raises `UserError` about one that cannot be read, or is not as it was written."""
    cure = "Delete it; its stages are kept and it is drawn again."
    try:
        saved = Saved(**unsealed("candidate", path.read_bytes()))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}). Make it readable, or: {cure}") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: is not a candidate's file ({error}). {cure}") from error
    if path.name != _name(saved.number):
        raise UserError(f"{path}: holds candidate {saved.number}, whose file is {_name(saved.number)}. {cure}")
    return saved


def maker(fingerprints: Mapping[str, str], name: str) -> str:
    """Of `key` or `key/name`, the fingerprint under the key."""
    parts = name.split("/")
    return next(fingerprints[key] for n in range(len(parts), 0, -1) if (key := "/".join(parts[:n])) in fingerprints)


def _name(number: int) -> str:
    return f"{number:05d}.json"
