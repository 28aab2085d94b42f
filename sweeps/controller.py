"""The controller hands out units of work and hears what becomes of them. It is pure Python: no Ray, no MLflow, no clock of its own.

What is wanted it learns from the population; it chooses what runs next, passes results back, and retries what was lost.
"""

import itertools
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from enum import Enum

from analysis.measure import Measure
from contrast.component import UserError
from contrast.stage import Metrics, Stage
from sweeps.abroad import Abroad
from sweeps.budget import Meter
from sweeps.claims import Alone, Claiming
from sweeps.event import Event, numbers
from sweeps.failures import Failures, named
from sweeps.fingerprint import describe
from sweeps.graph import HELD, RUNNING, Job, Want, all_stages
from sweeps.nodes import LOSSES, Nodes
from sweeps.population import Population
from sweeps.ready_queue import ReadyQueue
from sweeps.resources import Resources, cores_only
from sweeps.slots import Slots
from sweeps.store import Record


class Signal(Enum):
    """What `next` and `report` answer besides a unit."""

    WAIT = "wait"
    DONE = "done"
    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True)
class WorkUnit:
    """Stages that one worker executes in order with one `Resources`.

    `identities` has the fingerprints of all it reads and writes, `values` the description of each of `stages`: a worker
    cannot work them out, since the source of a user's script does not travel with its classes.
    """

    number: int
    stages: tuple[Stage, ...]
    values: tuple[dict[str, object], ...]
    identities: dict[Stage, str]
    resources: Resources
    monitor: Measure | None = None


class Controller:
    """One launch of one sweep: the units in progress, and the population they work for.

    `units` has the classes of the stages of every unit that was handed out and not taken back, by number. `slots` bounds
    those that run at once.
    """

    def __init__(
        self,
        population: Population,
        *,
        resources: Callable[[Stage], Resources] = cores_only,
        now: Callable[[], float] = time.time,
        claims: Claiming | None = None,
        slots: Slots | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.population, self.graph, self.emit = population, population.graph, population.emit
        self.resources, self.now = resources, now
        self.queue = ReadyQueue(self.graph, self._rank, resources)
        self.abroad = Abroad(self.graph, claims or Alone(), now, self.emit, self._settle)
        self.slots = slots or Slots()
        self.meter = meter or Meter()
        self.running: dict[int, WorkUnit] = {}
        self.nodes = Nodes()
        self.units: dict[int, list[str]] = {}
        self._numbers = itertools.count(1)
        self.stopping = False
        self.failures = Failures(population, now)
        self._told_to_stop: set[int] = set()
        self._last_shape: Resources | None = None

    @property
    def fatal(self) -> Exception | None:
        """Why the sweep cannot go on, if it cannot."""
        return self.failures.fatal

    @property
    def leaving(self) -> bool:
        """Whether no further unit is handed out."""
        return self.ending or self.slots.draining

    @property
    def ending(self) -> bool:
        """Whether what runs is saved and stopped, too: interrupted, failed, or the budget is spent."""
        return self.stopping or self.fatal is not None or self.meter.over is not None

    def next(self, closed: Set[Resources] = frozenset()) -> WorkUnit | Signal:
        """The unit to run now, WAIT while nothing can start, DONE when all is finished, stopped or failed.

        `closed` are shapes of which the engine has enough that wait for a place: units of others go before them.
        """
        self.meter.tick(self.now())
        for event in self.slots.heed(len(self.running)):
            self.emit(event)
        if self.leaving:
            return Signal.WAIT if self.running else Signal.DONE
        self.abroad.look()
        if self.slots.full(len(self.running)):
            return Signal.WAIT
        unit = self._pick(closed)
        while unit is None and (self.population.draw_one() or (not closed and self.population.race.run_ahead())):
            unit = self._pick(closed)
        if unit is None:
            self.population.advance()  # the last candidate may have been judged without a commit: pruned, or held as it was drawn
            unit = self._pick(closed)
        if unit is not None:
            self.running[unit.number] = unit
            self._last_shape = unit.resources
            return unit
        if self.running or self.idle() is not None:
            return Signal.WAIT
        if not self.population.finished_all:
            raise RuntimeError("the controller has nothing to run and is not finished; this is a defect, please report it")
        self.failures.conclude()
        return Signal.DONE

    def idle(self) -> float | None:
        """Seconds until something may go on by itself: a back-off is over, or another driver has finished what we wait for."""
        waits = (self.graph.backing_off(self.now()), self.abroad.next_look())
        return min((wait for wait in waits if wait is not None), default=None)

    def began(self, unit: WorkUnit, node: str = "") -> Signal:
        """A worker, on the cluster's node of this id, took the unit up; STOP when it is not to begin any more."""
        self.taken_up(unit, node)
        return self._stop(unit) if self.leaving else Signal.CONTINUE

    def taken_up(self, unit: WorkUnit, node: str) -> None:
        """A worker on this node works on the unit, whatever else is to begin."""
        self.nodes.began(unit.number, node)
        self._heard(unit)

    def _heard(self, unit: WorkUnit) -> None:
        """A message of a unit: what it occupies counts from its first one on."""
        if unit.number in self.running:
            self.meter.begin(unit.number, unit.resources, self.now())

    def _stop(self, unit: WorkUnit) -> Signal:
        self._told_to_stop.add(unit.number)
        return Signal.STOP

    def report(self, unit: WorkUnit, stage: Stage, epoch: int, metrics: Metrics) -> Signal:
        """An epoch was computed or, after a restart, replayed; STOP when nobody wants the stage any more."""
        self._heard(unit)
        job = self.graph.jobs[self.graph.identity(stage)]
        if epoch == len(job.curve) + 1:
            job.curve.append(metrics)
            job.accidents = job.unbegun = 0
            self.nodes.progressed(unit.number)
            self.emit(
                Event("epoch", _line(stage, epoch, self.population.pilots.readable(job, metrics)), None, job.fingerprint, metrics, epoch)
            )
            for who in sorted(job.wanted):
                self.population.pilots.watch(who, job)
        return self._stop(unit) if self.ending or not job.wanted else Signal.CONTINUE

    def committed(self, unit: WorkUnit, stage: Stage) -> Signal:
        """A stage's record stands in the store; its children may start. STOP when nobody wants what is left of the unit."""
        self._heard(unit)
        job = self.graph.jobs[self.graph.identity(stage)]
        record = self.graph.store.held(stage, job.fingerprint)
        if record is None:
            raise RuntimeError(f"{type(stage).__name__} {job.fingerprint} was announced as committed but is not in the store")
        self.graph.computed.add(job.fingerprint)
        self.nodes.progressed(unit.number)
        self.abroad.give_back(job)
        self._settle(job, record, "")
        rest = [self.graph.jobs[self.graph.identity(other)] for other in unit.stages[unit.stages.index(stage) + 1 :]]
        over = bool(rest) and not any(job.wanted for job in rest)
        return self._stop(unit) if over or self.ending else Signal.CONTINUE

    def _settle(self, job: Job, record: Record, whence: str) -> None:
        self.graph.settle(job, record)
        kind = "committed" if job.state == HELD else "diverged"
        text = f"{named(job)} {kind}{whence} {numbers(record.results)}"
        self.emit(Event(kind, text, None, job.fingerprint, record.results))
        for who in sorted(job.wanted):
            self.population.pilots.watch(who, job)  # another driver's stage reported nothing here
            self.population.judge.settled(who)
        self.population.advance()

    def finished(self, unit: WorkUnit) -> None:
        """A unit ended without failing; stages it did not commit (it was stopped) wait again."""
        jobs = [self.graph.jobs[self.graph.identity(stage)] for stage in unit.stages]
        left = [job for job in jobs if job.state == RUNNING and job.wanted and self.graph.fed(job)]
        if left and unit.number not in self._told_to_stop and not self.ending:
            name = f"{type(left[0].stage).__name__} {left[0].fingerprint}"
            self.failures.end(RuntimeError(f"a worker ended its unit without {name} and gave no reason"))
        self._give_back(unit)
        self.failures.ended += 1

    def withdrawn(self, unit: WorkUnit) -> None:
        """A unit was taken back before a worker began it."""
        self.units.pop(unit.number)
        self._give_back(unit)

    def failed(self, unit: WorkUnit, stage: Stage | None, kind: str, text: str) -> None:
        """A unit failed: "user" ends the sweep, "exception" is tried once more, "infrastructure" up to five times.

        "refused": a stage cannot work with what it was given, and its candidates fail. That lies with the point, unless the
        first three stages of the class all refuse, or no candidate is complete in the end: then it is the sweep's mistake.
        `stage` is the one that failed, None when the worker was lost before it began one; that does not count as a try,
        but twenty of them in a row end the sweep.
        """
        avoided = self.nodes.lost(unit.number) if kind == "infrastructure" else None
        self._give_back(unit)
        if kind == "refused" and stage is not None:
            self.failures.refused(stage, text)
        elif kind == "user":
            self.failures.end(UserError(text))
        elif kind == "exception":
            self.failures.exception(stage or unit.stages[0], text)
        elif stage is not None:
            self.failures.accident(stage, text)
        else:
            self.failures.unbegun(unit.stages[0], text)
        if avoided is not None:
            self.emit(
                Event("node", f"node {avoided[:6]} lost {LOSSES} units in a row without progress: no more for it while there is another")
            )
        self.failures.ended += 1
        self.population.advance()

    def _pick(self, closed: Set[Resources]) -> WorkUnit | None:
        while (job := self.queue.first(self.now(), self._last_shape, closed)) is not None:
            if self.abroad.ours(job):
                return self._unit(job)
        return None

    def _unit(self, job: Job) -> WorkUnit:
        stages = [job.stage]
        alone = isinstance(job.stage, Measure) and (job.stage.alone or isinstance(job.stage.of, tuple))
        if not alone:
            stages += [stage for stage in self._followers(job) if self.abroad.ours(self.graph.job(stage))]
        for stage in stages:
            self.graph.begin(self.graph.jobs[self.graph.identity(stage)])
        number = next(self._numbers)
        self.units[number] = [type(stage).__name__ for stage in stages]
        read = {need: self.graph.identity(need) for stage in stages for need in (stage, *all_stages(stage))}
        monitor = self.population.pilots.monitor_of(job) if not isinstance(job.stage, Measure) else None
        if monitor is not None:
            read[monitor] = self.graph.identity(monitor)
        return WorkUnit(number, tuple(stages), tuple(map(describe, stages)), read, self.resources(job.stage), monitor)

    def _followers(self, job: Job) -> list[Stage]:
        """Short measures that can follow in the same worker: of this stage, or of what this measure measures."""
        measured = job.stage.of if isinstance(job.stage, Measure) else job.stage
        followers = []
        for child in sorted(self.graph.jobs[self.graph.identity(measured)].children):  # type: ignore[arg-type]
            other = self.graph.jobs[child]
            short = isinstance(other.stage, Measure) and not other.stage.alone and other.stage.of == measured
            if short and other is not job and self.graph.due(other, self.now()) and self.graph.fed(other, frozenset({job.fingerprint})):
                followers.append(other.stage)
        return followers

    def _rank(self, job: Job, who: Want) -> int:
        """Confirmation, then children of committed stages, then further seeds, then pilots, then what may come to nothing."""
        _, phase, seed = who
        if who in self.population.race.ahead:
            return 4
        if phase == "confirm" and self.population.phase == "search":
            return 0
        if job.needs:
            return 1
        return 3 if seed in self.population.first_seeds else 2

    def _give_back(self, unit: WorkUnit) -> None:
        self.running.pop(unit.number, None)
        self.nodes.left(unit.number)
        self.meter.end(unit.number, self.now())
        for stage in unit.stages:
            job = self.graph.jobs[self.graph.identity(stage)]
            if job.state == RUNNING:
                self.abroad.give_back(job)
            self.graph.give_back(job)


def _line(stage: Stage, epoch: int, metrics: Metrics) -> str:
    what = "part" if isinstance(stage, Measure) else "epoch"
    return f"{type(stage).__name__} {what} {epoch}/{stage.length} {numbers(metrics)}".rstrip()
