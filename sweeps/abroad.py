"""Stages that another driver on the same root works on: waited for without a slot, taken over when they are done or left."""

from collections.abc import Callable

from sweeps.claims import Claiming
from sweeps.graph import Graph, Job, all_stages
from sweeps.store import Record

LOOK = 1.0  # seconds between two looks at what others work on


class Abroad:
    """The jobs of one launch that are claimed elsewhere, and the claims of its own."""

    def __init__(self, graph: Graph, claims: Claiming, now: Callable[[], float]) -> None:
        self.graph, self.claims, self.now = graph, claims, now
        self._jobs: dict[str, Job] = {}
        self._next = 0.0

    def claim(self, job: Job) -> Record | str | None:
        """Claim a job that is to be handed out.

        None when it is ours; else who works on it, or the record that another driver committed just before.
        """
        needs = (self.graph.identity(need) for need in all_stages(job.stage))
        if not self.claims.take(job.fingerprint, needs):
            self.graph.send_abroad(job)
            self._jobs[job.fingerprint] = job
            return self.claims.holder(job.fingerprint) or "another driver"
        record = self.graph.store.held(job.stage, job.fingerprint)
        if record is not None:
            self.claims.give_back(job.fingerprint)
        return record

    def give_back(self, job: Job) -> None:
        """We work on a job no more."""
        self.claims.give_back(job.fingerprint)

    def look(self) -> list[tuple[Job, Record]]:
        """Every second: the jobs that were committed elsewhere since, with their records; those that were left wait again."""
        if not self._jobs or self.now() < self._next:
            return []
        self._next = self.now() + LOOK
        done = []
        for job in list(self._jobs.values()):
            left = self.claims.holder(job.fingerprint) is None  # before the record: it may be committed and given back meanwhile
            record = self.graph.store.held(job.stage, job.fingerprint)
            if record is not None or left:
                del self._jobs[job.fingerprint]
                self.graph.come_back(job)
            if record is not None:
                done.append((job, record))
        return done

    def next_look(self) -> float | None:
        """Seconds until the next look, None when nothing that is wanted is in progress elsewhere."""
        return max(0.0, self._next - self.now()) if any(job.wanted for job in self._jobs.values()) else None
