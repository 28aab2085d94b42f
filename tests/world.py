"""A small world for the core: stages of arithmetic, a clock of our own, and an engine whose interleaving is an input.

`Train` counts every epoch that is computed and can be told to stumble; its state depends on each epoch before, so a result
shows whether one was left out or done twice. `World.drive` runs the real worker code in slots that take turns as a list of
numbers says. Nothing is flushed to the disk here: kills are exceptions, and the power stays on.
"""

import os
import tempfile
from collections import Counter, deque
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analysis.measure import Measure
from contrast.component import UserError
from contrast.model import Artefact, Model
from contrast.stage import Diverged, Memory, Stage
from sweeps.candidate import CandidateFiles
from sweeps.controller import Controller, Signal
from sweeps.engines import inline
from sweeps.engines.worker import Place, execute
from sweeps.population import Population
from sweeps.store import Store

WORK: Counter = Counter()  # (stage, epoch) -> how often it was computed; a measure counts as epoch 0, and not as a monitor
TROUBLE: dict = {}  # (class, seed, epoch) -> exceptions raised there, one a visit


def visit(stage, seed, epoch):
    waiting = TROUBLE.get((type(stage).__name__, seed, epoch))
    if waiting:
        raise waiting.pop(0)


def fate(kind):
    return {"wild": Diverged("the loss became nan"), "broken": KeyError("spoon"), "mistaken": UserError("x: is wrong. Mend it.")}[kind]


@dataclass(frozen=True)
class Train(Stage):
    """`epochs` epochs; "wild" diverges in epoch 2, "broken" raises there, "mistaken" is the user's fault."""

    x: float
    seed: int
    epochs: int = 4
    kind: str = "good"

    @property
    def length(self):
        return self.epochs

    def run(self, workspace):
        done, state = workspace.restore()
        w = state["w"] if done else torch.tensor([self.x + 0.1 * self.seed], dtype=torch.float64)
        for epoch in range(done + 1, self.epochs + 1):
            if epoch == 2 and self.kind != "good":
                raise fate(self.kind)
            visit(self, self.seed, epoch)
            w = torch.sin(3.1 * w + epoch)
            WORK[self, epoch] += 1
            metrics = {"loss": float(w)}
            if workspace.monitor is not None:
                metrics |= workspace.monitor(Model(self, Artefact(workspace.folder, {"w": float(w)}), build=lambda: None, final=False))
            workspace.save(epoch, metrics, {"w": w})
            yield metrics
        workspace.keep_arrays(w=w.numpy())
        return {"w": float(w)}

    def model(self, workspace):
        return Model(self, workspace.of(self), build=lambda: None)


@dataclass(frozen=True)
class Score(Measure):
    """Best at x = 0.3, with a second result beside."""

    bias: float = 0.0

    def measure(self, model, workspace):
        visit(self, model.stage.seed, 0)
        if model.final:
            WORK[self, 0] += 1
        score = self.bias - (model.stage.x - 0.3) ** 2 + 1e-3 * model.artefact.results["w"]
        return {"score": score, "twice": 2 * score}


@dataclass(frozen=True)
class Long(Score):
    """A unit of its own."""

    alone = True


@dataclass(frozen=True)
class InParts(Long):
    """The number of `Long`, measured in three parts."""

    @property
    def length(self):
        return 3

    def measure(self, model, workspace):
        done, state = workspace.restore()
        total = state["total"] if done else torch.zeros((), dtype=torch.float64)
        for part in range(done + 1, self.length + 1):
            visit(self, model.stage.seed, part)
            WORK[self, part] += 1
            total = total + (self.bias - (model.stage.x - 0.3) ** 2) / self.length
            workspace.save(part, {}, {"total": total})
            yield {}
        score = float(total) + 1e-3 * model.artefact.results["w"]
        return {"score": score, "twice": 2 * score}


@dataclass(frozen=True)
class Spread(Measure):
    """Compares all replicates."""

    def measure(self, model, workspace):
        WORK[self, 0] += 1
        return {"spread": float(np.ptp([one.artefact.results["w"] for one in model]))}


class Clock:
    """Time stands still until the engine has nothing to do but wait."""

    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


class World:
    """A root folder and launches in it; as a context manager it is new, with nothing computed and no trouble ahead."""

    def __enter__(self):
        shared_memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=shared_memory if shared_memory.is_dir() else None)
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(os, "fsync", lambda handle: None)
        WORK.clear()
        TROUBLE.clear()
        self.root, self.events = Path(self._folder.name), []
        self.place = Place(self.root, None)
        return self

    def __exit__(self, *_):
        self._patch.undo()
        self._folder.cleanup()

    def population(self, sweep, searching=True, check=lambda stages, phase: None):
        files = CandidateFiles(self.root, sweep.name)
        return Population(sweep, Store.open(self.root), files, searching=searching, check=check, emit=self.events.append)

    def controller(self, sweep, **options):
        return Controller(self.population(sweep, **options), now=Clock())

    def launch(self, sweep, **options):
        """Run to the end in process; returns the population."""
        controller = self.controller(sweep, **options)
        inline.run(controller, self.place)
        if controller.fatal is not None:
            raise controller.fatal
        return controller.population

    def drive(self, controller, turns=(0,), slots=2, lag=0):
        """Run to the end in `slots` at once; `turns` says which of the possible steps is next, `lag` how far a worker may be ahead."""
        turns, busy, memories = cycle(turns), {}, [Memory() for _ in range(slots)]
        while True:
            for slot in range(slots):
                unit = controller.next() if slot not in busy else None
                if unit is Signal.DONE and not busy:
                    return controller.population
                if unit is not None and not isinstance(unit, Signal):
                    busy[slot] = SimpleNamespace(unit=unit, messages=execute(unit, self.place, memories[slot]), sent=deque(), ended=False)
            if busy:
                self._step(controller, busy, next(turns), lag)
            else:
                controller.now.time += controller.idle()

    def _step(self, controller, busy, turn, lag):
        """A worker goes on to its next message, or the oldest one it sent is heard."""
        steps = [(slot, at.sent) for slot, at in busy.items() if at.sent or at.ended]
        steps += [(slot, None) for slot, at in busy.items() if not at.ended and len(at.sent) <= lag]
        slot, mail = steps[turn % len(steps)]
        at = busy[slot]
        if mail is None:
            message = next(at.messages, None)
            at.ended = message is None
            at.sent.extend([message] if message else [])
        elif not mail or inline.tell(controller, at.unit, mail.popleft()) is Signal.STOP:
            at.messages.close()
            del busy[slot]
            if at.unit.number in controller.running:
                controller.finished(at.unit)

    def records(self):
        """The committed stages, as Class/fingerprint."""
        return {f"{path.parent.parent.name}/{path.parent.name}" for path in (self.root / "store").glob("*/*/record.json")}


def table(population):
    """Everything that is reported of the candidates."""
    found = {}
    for number, c in sorted(population.candidates.items()):
        seeds = {(r.phase, r.seed): (r.state, r.metrics) for r in c.replicates} if c.state == "complete" else {}
        found[number] = (c.label, c.knobs, c.state, c.values, c.n, seeds)
    return found
