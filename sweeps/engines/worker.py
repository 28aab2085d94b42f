"""What a worker does with a unit of work, whichever engine started it: run each stage, save, report, commit.

Messages are plain tuples of small values, so that any engine can carry them. The generator is driven from outside: after
every message the engine may close it, and everything reported up to then is saved.
"""

import contextlib
import io
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from analysis.measure import Measure
from contrast.component import UserError
from contrast.distributed import Processes
from contrast.heap import kept_heap
from contrast.model import Model
from contrast.pretraining import Pretraining
from contrast.signals import feature_std, rankme
from contrast.stage import Diverged, Memory, Metrics, Stage, Workspace, extract
from sweeps.attempts import computing
from sweeps.controller import WorkUnit
from sweeps.disk import full, lasting, refusal
from sweeps.engines import processes
from sweeps.fingerprint import monitored, package_digest
from sweeps.masking import masked
from sweeps.resources import Resources
from sweeps.store import Record, Store, read_curve

PROBE = 1024  # images


@dataclass(frozen=True)
class Place:
    """Where units run: the root of the store, the image folder, and the digest of the driver's code."""

    root: Path
    data: Path | None
    digest: str = field(default_factory=package_digest)


@dataclass(frozen=True)
class Message:
    """What a worker tells: a stage began, an epoch is saved, a stage is committed or failed; `index` in the unit's stages.

    For "failed", `text` is what happened and `cause` "user", "refused", "exception" or "infrastructure".
    """

    kind: Literal["began", "epoch", "committed", "failed"]
    index: int
    epoch: int = 0
    metrics: Metrics = field(default_factory=dict)
    text: str = ""
    cause: str = ""


def execute(unit: WorkUnit, place: Place, memory: Memory) -> Generator[Message, None, None]:
    """Run the stages of a unit in order; ends at the first that fails. `memory` keeps networks between units."""
    if package_digest() != place.digest:
        yield Message(
            "failed",
            0,
            text="This worker has another version of the code than the driver: install the same one on every node.",
            cause="user",
        )
        return
    torch.set_num_threads(max(1, int(unit.resources.cpus)))
    with kept_heap():
        yield from _stages(unit, place, Store(place.root), memory)


def _stages(unit: WorkUnit, place: Place, store: Store, memory: Memory) -> Generator[Message, None, None]:
    for index, stage in enumerate(unit.stages):
        identity = unit.identities[stage]
        if store.held(stage, identity) is None:
            yield Message("began", index)
            try:
                failure = yield from _run(stage, index, identity, unit, place, store, memory)
            except OSError as error:  # of the store, or of a full disk: no fault of the stage
                if not lasting(error):
                    raise
                failure = Message("failed", index, text=refusal(error), cause="user")
            if failure is not None:
                yield failure
                return
        yield Message("committed", index)
        record = store.held(stage, identity)
        if record is None or leaves_nothing(stage, record):
            return


def leaves_nothing(stage: Stage, record: Record) -> bool:
    """Whether nothing can follow in a unit: its stage diverged. After a measure that did, there are others of the same stage."""
    return record.outcome == "diverged" and not isinstance(stage, Measure)


def _run(
    stage: Stage, index: int, identity: str, unit: WorkUnit, place: Place, store: Store, memory: Memory
) -> Generator[Message, None, Message | None]:
    """Run one stage to its record; returns the message of a failure instead of raising what the stage raises."""
    attempt = store.begin(stage, identity)
    monitor = unit.monitor if unit.monitor is not None and unit.monitor.of == stage else None
    prepare = partial(_workspace, attempt, place, unit.identities, monitor)
    started = time.time()
    log = Log(attempt / "log.txt")
    log.line(f"{type(stage).__name__} {identity} starts")
    for epoch, metrics in enumerate(read_curve(attempt), 1):
        yield Message("epoch", index, epoch, metrics)
    outcome, reason = "complete", ""
    results: Metrics = {}
    running = _running(stage, prepare, unit, memory)
    try:
        while True:
            with computing(attempt), log.captured():
                try:
                    metrics = next(running)
                except StopIteration as stop:
                    results = _numbers(stage, stop.value)
                    break
            epoch = len(read_curve(attempt))
            log.line(f"{'part' if isinstance(stage, Measure) else 'epoch'} {epoch} {metrics}")
            yield Message("epoch", index, epoch, metrics)
    except Diverged as error:
        outcome, reason = "diverged", masked(str(error))
        log.line(f"diverged: {error}")
    except UserError as error:
        log.line(str(error))
        return Message("failed", index, text=masked(str(error)), cause="refused")
    except (Exception, SystemExit) as error:  # whatever a user's stage raises is that stage's failure, not the worker's
        if isinstance(error, OSError) and full(error):
            raise
        child = isinstance(error, processes.ChildFailed | processes.ChildLost)
        text = masked(str(error) if child else "".join(traceback.format_exception(error)[-6:]))
        log.line(text)
        cause = "infrastructure" if isinstance(error, processes.ChildLost) else "exception"
        return Message("failed", index, text=text, cause=cause)
    finally:
        running.close()
    log.line(f"{outcome} {results}")
    store.commit(
        stage,
        identity,
        unit.values[index],
        attempt,
        outcome,
        results,
        started=started,
        made_by=made_by(stage, unit.resources),
        reason=reason,
    )
    return None


def _running(stage: Stage, prepare: Callable[..., Workspace], unit: WorkUnit, memory: Memory) -> Generator[Metrics, None, Metrics]:
    """The stage's generator: here, or over the processes that share the unit's cores and have a GPU each."""
    count = processes.number(stage, unit.resources)
    if count > 1:
        return processes.run(stage, prepare, count, threads_of(stage, unit.resources))
    return stage.run(prepare(Processes(), _device(unit), memory))


def _workspace(
    attempt: Path,
    place: Place,
    identities: dict[Stage, str],
    monitor: Measure | None,
    together: Processes,
    device: torch.device,
    memory: Memory | None = None,
) -> Workspace:
    """The workspace of one process; only the first monitors."""
    resolve = Store(place.root).resolver(identities)
    workspace = Workspace(attempt, resolve, place.data, device, memory=memory or Memory(), processes=together)
    if monitor is not None and together.first:
        workspace.monitor = Monitor(monitor, monitored(identities[monitor]), workspace)
    return workspace


def _numbers(stage: Stage, results: object) -> Metrics:
    """What a stage returned, as plain numbers by name."""
    try:
        numbers = {str(name): float(value) for name, value in dict(results).items()}  # type: ignore[call-overload]
        if isinstance(stage, Measure) and not numbers:
            raise ValueError("no number")
        return numbers
    except (TypeError, ValueError) as error:
        cure = 'Return a dict of numbers, such as {"ratio": 0.5}; arrays go to workspace.keep_arrays.'
        raise UserError(f"{type(stage).__name__}: returned {results!r} as its results ({error}). {cure}") from error


@dataclass
class Monitor:
    """What watches a pretraining, called on the network in training.

    What stands under `name` is the main result of the measure. Of a pretraining it also gives `rankme` and `feature_std` of the encoder's
    features, in eval mode, of a fixed probe: up to 1,024 of its training images, evenly spread in id order, without labels.
    """

    measure: Measure
    name: str
    workspace: Workspace

    def __call__(self, model: Model) -> Metrics:
        """The numbers on `model`, a network in training."""
        found = _numbers(self.measure, self.measure.measure(model, self.workspace))
        metrics = {self.name: next(iter(found.values()))}
        if isinstance(model.stage, Pretraining):
            pixels = self.workspace.images(model.stage.data).pixels
            count = min(PROBE, len(pixels))
            features = extract(model.net, pixels[np.arange(count) * len(pixels) // count], self.workspace.device)
            metrics |= {"rankme": rankme(features), "feature_std": feature_std(features)}
        return metrics


def _device(unit: WorkUnit) -> torch.device:
    return torch.device("cuda") if unit.resources.gpus > 0 and torch.cuda.is_available() else torch.device("cpu")


def threads_of(stage: Stage, resources: Resources) -> int:
    """Threads of each process that runs the stage: they share the unit's cores."""
    return max(1, int(resources.cpus) // processes.number(stage, resources))


def made_by(stage: Stage, resources: Resources) -> dict[str, str]:
    """Versions, machine, commit, and what a stage occupied, as a record states them; threads are those of each process."""
    count = processes.number(stage, resources)
    threads = torch.get_num_threads() if count == 1 else threads_of(stage, resources)
    return _installed() | {"threads": str(threads), "processes": str(count), "resources": str(resources)}


@cache
def _installed() -> dict[str, str]:
    root = Path(__file__).resolve().parents[2]
    commit = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "host": platform.node(),
        "code": package_digest(),
        "commit": commit.stdout.strip(),
    }


class Log:
    """The log of an attempt: our lines with the time, and what the stage prints."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def line(self, text: str) -> None:
        """Append one line with the time."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {masked(text)}\n")

    @contextlib.contextmanager
    def captured(self) -> Iterator[None]:
        """Take what is printed inside into the log."""
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                yield
        finally:
            if printed.getvalue():
                self.line(printed.getvalue().rstrip())


def cap_threads(cpus: float) -> None:
    """Limit BLAS, OpenMP and torch to a unit's cores; called before a worker computes anything."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(max(1, int(cpus)))
    torch.set_num_threads(max(1, int(cpus)))
    sys.stdout.flush()
