"""Stages that another driver on the same root works on: waited for without a slot, taken over when they are done or left."""

from collections.abc import Callable

from sweeps.claims import Claiming
from sweeps.event import Event
from sweeps.graph import Graph, Job, all_stages
from sweeps.store import Record

LOOK = 1.0  # seconds between two looks at what others work on


class Abroad:
    """The jobs of one launch that are claimed elsewhere, and the claims of its own.

    `settle(job, record, whence)` is told of every job that was committed elsewhere, `emit` of what is waited for.
    """

    def __init__(
        self,
        graph: Graph,
        claims: Claiming,
        now: Callable[[], float],
        emit: Callable[[Event], None],
        settle: Callable[[Job, Record, str], None],
    ) -> None:
        self.graph, self.claims, self.now, self.emit, self.settle = graph, claims, now, emit, settle
        self._jobs: dict[str, Job] = {}
        self._next = 0.0

    def ours(self, job: Job) -> bool:
        """Whether a job that could be handed out is for us to do, and is claimed now: nobody works on it, or has just done it."""
        needs = (self.graph.identity(need) for need in all_stages(job.stage))
        if not self.claims.take(job.fingerprint, needs):
            self.graph.send_abroad(job)
            self._jobs[job.fingerprint] = job
            who = self.claims.holder(job.fingerprint) or "another driver"
            text = f"{type(job.stage).__name__} {job.fingerprint[:8]} is in progress in {who}; waiting for it"
            self.emit(Event("abroad", text, None, job.fingerprint))
            return False
        record = self.graph.store.held(job.stage, job.fingerprint)
        if record is None:
            return True
        self.claims.give_back(job.fingerprint)
        self._elsewhere(job, record)
        return False

    def give_back(self, job: Job) -> None:
        """We work on a job no more."""
        self.claims.give_back(job.fingerprint)

    def look(self) -> None:
        """Every second: settle what was committed elsewhere since; what was left there waits for us again."""
        if not self._jobs or self.now() < self._next:
            return
        self._next = self.now() + LOOK
        for job in list(self._jobs.values()):
            left = self.claims.holder(job.fingerprint) is None  # before the record: it may be committed and given back meanwhile
            record = self.graph.store.held(job.stage, job.fingerprint)
            if record is not None or left:
                del self._jobs[job.fingerprint]
                self.graph.come_back(job)
            if record is not None:
                self._elsewhere(job, record)

    def _elsewhere(self, job: Job, record: Record) -> None:
        self.graph.reused.add(job.fingerprint)
        self.settle(job, record, " elsewhere")

    def next_look(self) -> float | None:
        """Seconds until the next look, None when nothing that is wanted is in progress elsewhere."""
        return max(0.0, self._next - self.now()) if any(job.wanted for job in self._jobs.values()) else None
