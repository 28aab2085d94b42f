"""Virtual time: units take the time they are said to take, and no time passes; for forecasts, tests and benchmarks.

The controller is the one that runs on a cluster; what its units would do is drawn. Every draw is a function of a seed, of
the stage and of the epoch (of losses and exceptions also of the attempt), so that neither order nor restarts change it.
"""

import hashlib
import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

from contrast.component import UserError
from contrast.stage import Metrics, Stage
from sweeps.controller import Controller, Signal, WorkUnit
from sweeps.engines.inline import tell
from sweeps.engines.worker import Message, leaves_nothing
from sweeps.fingerprint import monitored
from sweeps.resources import Resources
from sweeps.store import Record, Untouched


def uniform(*key: object) -> float:
    """A number in [0, 1) that depends on `key` and on nothing else."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=7).digest(), "little") / 2.0**56


def flat(stage: Stage, identity: str) -> Metrics:
    """The same main result for all stages, so that none is better than another."""
    return {"result": 0.0}


@dataclass(frozen=True)
class Nature:
    """What stages do in virtual time.

    pace: seconds an epoch takes; of a stage without epochs, the whole. results: by stage and fingerprint. curve: the metrics
    of an epoch by stage, fingerprint, epoch; without it a stage reports nothing before it is done; "monitor" in it is what the
    unit's monitor reads, if it has one. lost, broken, wild: the
    chance that an epoch loses its worker, raises an exception, or diverges. seed: of these chances.
    """

    pace: Callable[[Stage], float]
    results: Callable[[Stage, str], Metrics] = flat
    curve: Callable[[Stage, str, int], Metrics] | None = None
    lost: float = 0.0
    broken: float = 0.0
    wild: float = 0.0
    seed: int = 0

    def mishap(self, identity: str, epoch: int, attempt: int) -> str | None:
        """What befalls an epoch; a divergence is of the stage itself and comes back at every attempt."""
        if uniform(self.seed, "wild", identity, epoch) < self.wild:
            return "wild"
        chance = uniform(self.seed, "mishap", identity, epoch, attempt)
        return "lost" if chance < self.lost else "broken" if chance < self.lost + self.broken else None


class Clock:
    """Virtual time in seconds; called, it tells it."""

    def __init__(self, time: float = 0.0) -> None:
        self.time = time

    def __call__(self) -> float:
        """The time now."""
        return self.time


class Imagined(Untouched):
    """A store whose new stages are in memory, before those that lie below `root`; nothing is written.

    `saved` has the curves of unfinished stages, `attempts` how many there were at each, `commits` how often each was committed.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.saved: dict[str, list[Metrics]] = {}
        self.attempts: dict[str, int] = {}
        self.commits: dict[str, int] = {}
        self._imagined: dict[str, Record] = {}

    def held(self, stage: Stage, identity: str) -> Record | None:
        """The record of a stage that was imagined, or that lies on the disk."""
        return self._imagined.get(identity) or super().held(stage, identity)

    def attempt(self, identity: str) -> list[Metrics]:
        """A new attempt; returns the epochs that are saved, to which it adds."""
        self.attempts[identity] = self.attempts.get(identity, 0) + 1
        return self.saved.setdefault(identity, [])

    def imagine(self, stage: Stage, identity: str, outcome: str, results: Metrics) -> None:
        """Commit a stage; whoever comes second loses harmlessly."""
        self.commits[identity] = self.commits.get(identity, 0) + 1
        if self.held(stage, identity) is None:
            curve = self.saved.pop(identity, [])
            self._imagined[identity] = Record(identity, type(stage).__name__, {}, outcome, results, curve, "", {}, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Room:
    """Cores and GPUs of all nodes together."""

    cpus: float
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"cpu:{self.cpus:g} gpu:{self.gpus:g}"

    def has(self, shape: Resources) -> bool:
        """Whether a unit of this shape fits."""
        return shape.cpus <= self.cpus and shape.gpus <= self.gpus

    def less(self, shape: Resources, sign: int = 1) -> "Room":
        """What is left beside a unit; more with `sign` -1, when it ends."""
        return Room(round(self.cpus - sign * shape.cpus, 9), round(self.gpus - sign * shape.gpus, 9))


class Virtual:
    """An engine that has `room` and runs units of `controller` in the time of `clock`, which is the controller's own."""

    def __init__(self, controller: Controller, store: Imagined, nature: Nature, room: Room, clock: Clock) -> None:
        self.controller, self.store, self.nature, self.free, self.clock = controller, store, nature, room, clock
        self._room = room
        self._waiting: list[WorkUnit] = []
        self._events: list[tuple[float, int, WorkUnit, "Work"]] = []
        self._count = 0

    def run(self) -> None:
        """Run until the controller is done."""
        while self.step():
            pass

    def step(self) -> bool:
        """Go on to the next thing that happens; False when there is nothing more."""
        self._start()
        pause = self.controller.idle()
        until = None if pause is None else self.clock() + pause
        if not self._events:
            if until is not None:
                self.clock.time = until
            return until is not None
        if until is not None and until < self._events[0][0]:
            self.clock.time = until  # a job is ready again, and there may be room for it
            return True
        self.clock.time, _, unit, work = heapq.heappop(self._events)
        self._advance(unit, work)
        return True

    def _start(self) -> None:
        """Start what fits; ask for units while there is room for any, and none waits that is too large for it."""
        while self.free.cpus > 0 and len(self._waiting) <= self._room.cpus:
            fitting = [unit for unit in self._waiting if self.free.has(unit.resources)]
            if not fitting:
                unit = self.controller.next()
                if isinstance(unit, Signal):
                    return
                if not self._room.has(unit.resources):
                    raise UserError(f"--resources = {unit.resources}: there is only {self._room}. Ask for less, or give the forecast more.")
                self._waiting.append(unit)
                continue
            self._waiting.remove(fitting[0])
            self.free = self.free.less(fitting[0].resources)
            self._advance(fitting[0], _work(fitting[0], self.nature, self.store))

    def _advance(self, unit: WorkUnit, work: "Work") -> None:
        """Let a unit go on until time passes in it, or until it ends."""
        for part in work:
            if isinstance(part, float):
                self._count += 1
                heapq.heappush(self._events, (self.clock() + part, self._count, unit, work))
                return
            if isinstance(part, Lost):
                self.controller.failed(unit, part.stage, "infrastructure", "the worker process ended")
            elif tell(self.controller, unit, part) is Signal.STOP:
                break
        work.close()
        if unit.number in self.controller.running:
            self.controller.finished(unit)
        self.free = self.free.less(unit.resources, -1)


@dataclass(frozen=True)
class Lost:
    """A worker is lost; `stage` is the one it had begun."""

    stage: Stage | None


Work = Generator[float | Message | Lost, None, None]
Doing = Generator[float | Message, None, Message | Lost | None]


def _work(unit: WorkUnit, nature: Nature, store: Imagined) -> Work:
    """What a worker tells about a unit, and the seconds that pass between."""
    for index, stage in enumerate(unit.stages):
        identity = unit.identities[stage]
        if store.held(stage, identity) is None:
            yield Message("began", index)
            end = yield from _stage(stage, index, identity, _watched(unit, nature), store)
            if end is not None:
                yield end
                return
        yield Message("committed", index)
        record = store.held(stage, identity)
        if record is None or leaves_nothing(stage, record):
            return


def _watched(unit: WorkUnit, nature: Nature) -> Nature:
    """The same nature whose curves name what the unit's monitor reads as a worker does."""
    monitor, curve = unit.monitor, nature.curve
    if curve is None:
        return nature

    def named(stage: Stage, identity: str, epoch: int) -> Metrics:
        metrics = dict(curve(stage, identity, epoch))
        value = metrics.pop("monitor", None)
        if value is not None and monitor is not None and monitor.of == stage:
            metrics[monitored(unit.identities[monitor])] = value
        return metrics

    return replace(nature, curve=named)


def _stage(stage: Stage, index: int, identity: str, nature: Nature, store: Imagined) -> Doing:
    """One stage to its record; returns how it failed, if it did."""
    saved = store.attempt(identity)
    pace, epochs = float(nature.pace(stage)), max(1, stage.length)
    for epoch, metrics in enumerate(list(saved), 1):
        yield Message("epoch", index, epoch, metrics)
    if nature.curve is None:
        yield pace * epochs
    else:
        for epoch in range(len(saved) + 1, epochs + 1):
            yield pace
            mishap = nature.mishap(identity, epoch, store.attempts[identity])
            if mishap == "wild":
                store.imagine(stage, identity, "diverged", {})
                return None
            if mishap == "lost":
                return Lost(stage)
            if mishap == "broken":
                return Message("failed", index, text=f"ValueError: drawn for {identity}", cause="exception")
            if stage.length:
                saved.append(nature.curve(stage, identity, epoch))
                yield Message("epoch", index, epoch, saved[-1])
    store.imagine(stage, identity, "complete", nature.results(stage, identity))
    return None
