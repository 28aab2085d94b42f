"""What becomes of a sweep when units fail: what is tried again, what fails its candidates, and what ends everything."""

from collections.abc import Callable

from contrast.component import UserError
from contrast.stage import Stage
from sweeps.event import Event
from sweeps.graph import HELD, Job
from sweeps.population import Population

MAX_ACCIDENTS, MAX_UNBEGUN = 5, 20


class SweepFailed(RuntimeError):
    """The sweep cannot go on: the first units all raised the same, or workers are lost again and again before they begin."""


class Failures:
    """The failures of one launch; `fatal` is the first reason to end it, `ended` counts the units that ended in any way."""

    def __init__(self, population: Population, now: Callable[[], float]) -> None:
        self.population, self.graph, self.now = population, population.graph, now
        self.fatal: Exception | None = None
        self.ended = 0
        self._early: list[str] = []
        self._refusals: dict[type[Stage], list[str]] = {}

    def end(self, error: Exception) -> None:
        """Wind down; the first reason is the one that is told."""
        self.fatal = self.fatal or error

    def refused(self, stage: Stage, text: str) -> None:
        """A stage cannot work with what it was given."""
        texts = self._refusals.setdefault(type(stage), [])
        texts.append(text)
        self._fail(self.graph.jobs[self.graph.identity(stage)], text)
        if len(texts) == 3 and not any(type(job.stage) is type(stage) and job.state == HELD for job in self.graph.jobs.values()):
            self.end(UserError(texts[0]))

    def conclude(self) -> None:
        """All is done; a sweep of which nothing came because stages refused says so."""
        if self._refusals and not self.population.any_complete:
            self.end(UserError(next(iter(self._refusals.values()))[0]))

    def exception(self, stage: Stage, text: str) -> None:
        """A stage raised; it is tried once more."""
        job = self.graph.jobs[self.graph.identity(stage)]
        lost = [need for need in self.graph.below(job) if need is not job and self.graph.lost(need)]
        if lost:
            return self._retry(job, f"found {', '.join(named(need) for need in lost)} removed from the store, which is made again")
        job.exceptions += 1
        last_line = _last_line(text)
        if self.ended == len(self._early) < 3:
            self._early.append(last_line)
        if len(self._early) == 3 and len(set(self._early)) == 1:
            self.end(SweepFailed(f"the first three units all ended with the same exception:\n{text}"))
        elif job.exceptions >= 2:
            self._fail(job, text)
        else:
            self._retry(job, f"raised, tried once more: {last_line}")

    def accident(self, stage: Stage, text: str) -> None:
        """The worker of a stage that had begun was lost."""
        job = self.graph.jobs[self.graph.identity(stage)]
        job.accidents, job.unbegun = job.accidents + 1, 0
        self.graph.pause(job, self.now() + min(60.0, 2.0 ** (job.accidents - 2)))
        if job.accidents > MAX_ACCIDENTS:
            self._fail(job, f"lost {job.accidents} times without progress: {text}")
        else:
            self._retry(job, "lost its worker, goes on from its last epoch")

    def unbegun(self, stage: Stage, text: str) -> None:
        """The worker was lost before it began."""
        job = self.graph.jobs[self.graph.identity(stage)]
        job.unbegun += 1
        self.graph.pause(job, self.now() + min(10.0, 2.0 ** (job.unbegun - 5)))
        if job.unbegun >= MAX_UNBEGUN:
            cure = "See the workers' logs; finished stages are kept, and the same command goes on."
            self.end(SweepFailed(f"{job.unbegun} workers in a row were lost before they began {named(job)}: {text}. {cure}"))

    def _retry(self, job: Job, why: str) -> None:
        self.population.emit(Event("retry", f"{named(job)} {why}", None, job.fingerprint))

    def _fail(self, job: Job, text: str) -> None:
        self.graph.fail(job, text)
        self.population.emit(Event("failed", f"{named(job)} failed: {_last_line(text)}", None, job.fingerprint))
        for who in sorted(job.wanted):
            self.population.judge.settled(who)


def named(job: Job) -> str:
    """A job in few words."""
    return f"{type(job.stage).__name__} {job.fingerprint[:8]}"


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
