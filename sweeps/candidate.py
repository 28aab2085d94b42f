"""A candidate is one drawn point of one arm: its knobs, its replicates (one per seed), its state, what came out.

Its file, `sweeps/<name>/candidates/00017.json`, says what was drawn and decided; the driver is its only writer and replaces
it whole. Results are not taken from it: they are read from the store by fingerprint, at every launch again.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution

from contrast.component import UserError
from contrast.data.dataset import Phase
from contrast.stage import Metrics, Stage
from sweeps.store import write_atomically
from sweeps.sweep import Knob

OPEN, COMPLETE, PRUNED, DIVERGED, FAILED = "open", "complete", "pruned", "diverged", "failed"


@dataclass
class Replicate:
    """A candidate at one seed in one phase: stages by key, their fingerprints, and the metrics of those that are done."""

    seed: int
    phase: Phase
    stages: dict[str, Stage]
    fingerprints: dict[str, str]
    state: str = OPEN
    metrics: Metrics = field(default_factory=dict)
    reason: str = ""


@dataclass
class Candidate:
    """One drawn point. `value` is the mean objective over the seeds of the search, `n` their number."""

    number: int
    index: int
    label: str
    arm: dict[str, Any]
    knobs: dict[str, Knob]
    distributions: dict[str, BaseDistribution]
    replicates: list[Replicate] = field(default_factory=list)
    state: str = OPEN
    value: float | None = None
    n: int = 0
    intermediate: dict[int, float] = field(default_factory=dict)
    reason: str = ""

    def of_phase(self, phase: Phase) -> list[Replicate]:
        """The replicates of one phase, in order of seed as declared."""
        return [replicate for replicate in self.replicates if replicate.phase == phase]


@dataclass(frozen=True)
class Saved:
    """What the file of a candidate says."""

    number: int
    label: str
    knobs: dict[str, Knob]
    distributions: dict[str, str]
    state: str
    value: float | None
    n: int
    intermediate: dict[str, float]
    reason: str
    replicates: list[dict[str, Any]]

    def parsed_distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions by knob."""
        return {name: json_to_distribution(text) for name, text in self.distributions.items()}


class CandidateFiles:
    """The candidates of one sweep on disk."""

    def __init__(self, root: Path, sweep: str) -> None:
        self.folder = root / "sweeps" / sweep / "candidates"

    def read(self) -> dict[int, Saved]:
        """All saved candidates by number."""
        return {saved.number: saved for saved in map(_read, sorted(self.folder.glob("*.json")))}

    def write(self, candidate: Candidate) -> None:
        """Replace the file of one candidate."""
        self.folder.mkdir(parents=True, exist_ok=True)
        replicates = [
            {"seed": r.seed, "phase": r.phase, "state": r.state, "stages": r.fingerprints, "metrics": r.metrics, "reason": r.reason}
            for r in candidate.replicates
        ]
        saved = Saved(
            number=candidate.number,
            label=candidate.label,
            knobs=candidate.knobs,
            distributions={name: distribution_to_json(d) for name, d in candidate.distributions.items()},
            state=candidate.state,
            value=candidate.value,
            n=candidate.n,
            intermediate={str(step): value for step, value in candidate.intermediate.items()},
            reason=candidate.reason,
            replicates=replicates,
        )
        path = self.folder / f"{candidate.number:05d}.json"
        text = json.dumps(asdict(saved), indent=1)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)


def _read(path: Path) -> Saved:
    try:
        return Saved(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: is not a candidate's file ({error}). Delete it; its stages are kept and it is drawn again.") from error
