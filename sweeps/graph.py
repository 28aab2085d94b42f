"""The stages that a sweep wants, as a graph: each unique stage once, whoever wants it.

A nested value is flattened to its stages; equal values are one job. A job is ready when all stages nested in it are held.
"""

from dataclasses import dataclass, field

from contrast.data.dataset import Phase
from contrast.stage import Metrics, Stage, upstream
from sweeps.fingerprint import fingerprint
from sweeps.store import Record, Store

WAITING, RUNNING, HELD, DIVERGED, FAILED = "waiting", "running", "held", "diverged", "failed"
Want = tuple[int, Phase, int]


@dataclass
class Job:
    """One unique stage: what it needs, who wants it, how far it is.

    `wanted` holds (candidate number, phase, seed); `curve` the metrics of epochs reported or recorded so far; `accidents`
    counts lost workers since the last progress, `unbegun` those in a row that were lost before they began it.
    """

    stage: Stage
    fingerprint: str
    needs: tuple[str, ...]
    state: str = WAITING
    wanted: set[Want] = field(default_factory=set)
    children: set[str] = field(default_factory=set)
    curve: list[Metrics] = field(default_factory=list)
    results: Metrics = field(default_factory=dict)
    exceptions: int = 0
    accidents: int = 0
    unbegun: int = 0
    not_before: float = 0.0
    reason: str = ""


class Graph:
    """All jobs by fingerprint; `reused` and `computed` count what was found in the store and what was committed since."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.jobs: dict[str, Job] = {}
        self.identities: dict[Stage, str] = {}
        self.reused: set[str] = set()
        self.computed: set[str] = set()

    def identity(self, stage: Stage) -> str:
        """The fingerprint of a stage, computed once."""
        if stage not in self.identities:
            self.identities[stage] = fingerprint(stage)
        return self.identities[stage]

    def want(self, stage: Stage, who: Want) -> set[str]:
        """Enter that `who` wants `stage` and everything it needs; returns the fingerprints of all of these."""
        job = self.job(stage)
        job.wanted.add(who)
        closure = {job.fingerprint}
        for needed in upstream(stage):
            closure |= self.want(needed, who)
        return closure

    def job(self, stage: Stage) -> Job:
        """The job of a stage, entered with all that it needs if it is new; entering wants nothing."""
        identity = self.identity(stage)
        if identity not in self.jobs:
            needs = tuple(self.identity(needed) for needed in upstream(stage))
            job = self.jobs[identity] = Job(stage, identity, needs)
            for needed in upstream(stage):
                self.job(needed).children.add(identity)
            record = self.store.held(stage, identity)
            if record is not None:
                self.settle(job, record)
                self.reused.add(identity)
        return self.jobs[identity]

    def settle(self, job: Job, record: Record) -> None:
        """A stage's record stands: the job is held, or diverged."""
        job.state = HELD if record.outcome == "complete" else DIVERGED
        job.results, job.curve, job.reason = record.results, record.curve, record.reason

    def release(self, who: Want) -> None:
        """`who` wants nothing any more; whoever runs what nobody wants now hears it at the next report."""
        for job in self.jobs.values():
            job.wanted.discard(who)

    def ready(self, now: float) -> list[Job]:
        """Wanted jobs whose needs are held and whose back-off is over."""
        return [job for job in self.jobs.values() if self.due(job, now) and self.fed(job)]

    def due(self, job: Job, now: float) -> bool:
        """Whether a job is wanted, waits, and its back-off is over."""
        return job.state == WAITING and bool(job.wanted) and job.not_before <= now

    def fed(self, job: Job, also: frozenset[str] = frozenset()) -> bool:
        """Whether everything the job needs is held, or in `also`."""
        return all(need in also or self.jobs[need].state == HELD for need in job.needs)

    def backing_off(self, now: float) -> float | None:
        """Seconds until the first job whose back-off is not over, or None."""
        waits = [job.not_before - now for job in self.jobs.values() if job.state == WAITING and job.wanted and job.not_before > now]
        return min(waits, default=None)


def all_stages(stage: Stage) -> list[Stage]:
    """The stages nested anywhere in a stage, each once."""
    found: dict[Stage, None] = {}
    for needed in upstream(stage):
        found[needed] = None
        found.update(dict.fromkeys(all_stages(needed)))
    return list(found)
