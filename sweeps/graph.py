"""The stages that a sweep wants, as a graph: each unique stage once, whoever wants it.

A nested value is flattened to its stages; equal values are one job. A job is ready when all stages nested in it are held.
What may have become ready is noted as it happens, so that nobody has to look at all jobs in order to find the next one.
"""

import heapq
from dataclasses import dataclass, field

from contrast.data.dataset import Phase
from contrast.stage import Metrics, Stage, upstream
from sweeps.fingerprint import fingerprint
from sweeps.store import Record, Store

WAITING, RUNNING, ABROAD, HELD, DIVERGED, FAILED = "waiting", "running", "abroad", "held", "diverged", "failed"
Want = tuple[int, Phase, int]


@dataclass(slots=True, eq=False)
class Job:
    """One unique stage: what it needs, who wants it, how far it is.

    `state` "abroad": another driver on the root works on it. `wanted` holds (candidate number, phase, seed); `curve` the
    metrics of epochs reported or recorded so far; `accidents` counts lost workers since the last progress, `unbegun` those
    in a row that were lost before they began it.
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
    """All jobs by fingerprint; `reused` and `computed` count what was found in the store and what was committed since.

    `changed` has the fingerprints of jobs that may have become ready, or more urgent, since it was last emptied.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.jobs: dict[str, Job] = {}
        self.identities: dict[Stage, str] = {}
        self.reused: set[str] = set()
        self.computed: set[str] = set()
        self.changed: dict[str, None] = {}
        self._wants: dict[Want, dict[str, None]] = {}
        self._pauses: list[tuple[float, str]] = []

    def identity(self, stage: Stage) -> str:
        """The fingerprint of a stage, computed once."""
        found = self.identities.get(stage)
        if found is None:
            found = self.identities[stage] = fingerprint(stage)
        return found

    def want(self, stage: Stage, who: Want) -> set[str]:
        """Enter that `who` wants `stage` and everything it needs; returns the fingerprints of all of these."""
        closure = {job.fingerprint for job in self.below(self.job(stage))}
        for identity in closure:
            self.jobs[identity].wanted.add(who)
        self._wants.setdefault(who, {}).update(dict.fromkeys(closure))
        self.changed.update(dict.fromkeys(closure))
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

    def below(self, job: Job) -> list[Job]:
        """A job and all that it needs, directly or not, each once."""
        found, left = {job.fingerprint: job}, [job]
        while left:
            for need in left.pop().needs:
                if need not in found:
                    found[need] = self.jobs[need]
                    left.append(found[need])
        return list(found.values())

    def settle(self, job: Job, record: Record) -> None:
        """A stage's record stands: the job is held, or diverged."""
        job.state = HELD if record.outcome == "complete" else DIVERGED
        job.results, job.curve, job.reason = record.results, record.curve, record.reason
        self.changed.update(dict.fromkeys(job.children))

    def begin(self, job: Job) -> None:
        """A unit was handed out that has the job."""
        job.state = RUNNING

    def give_back(self, job: Job) -> None:
        """The unit that has the job ended; if it was not settled, it waits again."""
        if job.state == RUNNING:
            job.state = WAITING
            self.changed[job.fingerprint] = None

    def pause(self, job: Job, until: float) -> None:
        """The job is not handed out before `until`."""
        job.not_before = until
        heapq.heappush(self._pauses, (until, job.fingerprint))

    def fail(self, job: Job, reason: str) -> None:
        """Nothing comes of the job."""
        job.state, job.reason = FAILED, reason

    def send_abroad(self, job: Job) -> None:
        """Another driver works on the job."""
        job.state = ABROAD

    def come_back(self, job: Job) -> None:
        """The other driver works on the job no more; if it did not commit it, the job waits for us."""
        job.state = WAITING
        self.changed[job.fingerprint] = None

    def lost(self, job: Job) -> bool:
        """Whether a held job's record is not in the store any more, removed under us; then the job waits to be done again."""
        if job.state != HELD or self.store.stands(job.stage, job.fingerprint):
            return False
        job.state = WAITING
        self.changed[job.fingerprint] = None
        return True

    def release(self, who: Want) -> None:
        """`who` wants nothing any more; whoever runs what nobody wants now hears it at the next report."""
        for identity in self._wants.pop(who, ()):
            self.jobs[identity].wanted.discard(who)
            self.changed[identity] = None

    def ready(self, now: float) -> list[Job]:
        """Wanted jobs whose needs are held and whose back-off is over."""
        return [job for job in self.jobs.values() if self.startable(job, now)]

    def startable(self, job: Job, now: float) -> bool:
        """Whether a job can be handed out now."""
        return self.due(job, now) and self.fed(job)

    def due(self, job: Job, now: float) -> bool:
        """Whether a job is wanted, waits, and its back-off is over."""
        return job.state == WAITING and bool(job.wanted) and job.not_before <= now

    def fed(self, job: Job, also: frozenset[str] = frozenset()) -> bool:
        """Whether everything the job needs is held, or in `also`."""
        return all(need in also or self.jobs[need].state == HELD for need in job.needs)

    def resume(self, now: float) -> None:
        """Note the jobs whose back-off is over."""
        while self._pauses and self._pauses[0][0] <= now:
            self.changed[heapq.heappop(self._pauses)[1]] = None

    def backing_off(self, now: float) -> float | None:
        """Seconds until the first job whose back-off is not over, or None; few jobs ever pause at once."""
        self.resume(now)
        waiting = [until for until, identity in self._pauses if self._waits(self.jobs[identity], until)]
        return min(waiting) - now if waiting else None

    @staticmethod
    def _waits(job: Job, until: float) -> bool:
        return job.not_before == until and job.state == WAITING and bool(job.wanted)


def all_stages(stage: Stage) -> list[Stage]:
    """The stages nested anywhere in a stage, each once."""
    found: dict[Stage, None] = {}
    for needed in upstream(stage):
        found[needed] = None
        found.update(dict.fromkeys(all_stages(needed)))
    return list(found)
