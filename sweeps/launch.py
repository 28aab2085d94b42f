"""From a declaration to a finished sweep: check, open, run, write down.

The order matters and is the whole file: everything a user can get wrong is found before the store of the sweep is touched;
MLflow is opened once, in the driver, before any worker; what was committed is projected and reported however the run ends.
"""

import contextlib
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

import psutil
import torch
from rich.console import Console

from contrast.component import UserError, walk
from contrast.stage import Stage
from sweeps import mlflow_store
from sweeps.budget import Meter, SpentFile
from sweeps.candidate import CandidateFiles
from sweeps.claims import Claims, check_claims
from sweeps.control import Control
from sweeps.controller import Controller
from sweeps.declared import write_declared
from sweeps.display import Display
from sweeps.ending import INTERRUPTED
from sweeps.engines.worker import Place
from sweeps.event import Event
from sweeps.forecast import Means
from sweeps.launch_checks import check_address, check_corners, check_folders, check_machine, check_resources, checker, searches
from sweeps.lock import Lock, refuse_driven
from sweeps.memory import PeakMemory
from sweeps.mlflow_log import MlflowLog, NotSent
from sweeps.mlflow_rows import run_rows, summary_rows
from sweeps.population import Population
from sweeps.report import write_report
from sweeps.resources import Resources, cores_only, declared, parsed, with_gpus
from sweeps.results import save_launch
from sweeps.slots import Slots
from sweeps.store import Store
from sweeps.sweep import Sweep
from sweeps.warm_start import check_warm_start

SLOTS = 2  # units at once on this machine, if not said otherwise


@dataclass(frozen=True)
class Options:
    """Where and how a launch runs; nothing here changes a result.

    `slots` units run at once: if not given, two on this machine, as many as fit on a cluster that is joined.
    `resources` are the options of the command line, `resources_of` a function for classes that these do not name. `grow`: the
    cluster starts nodes for units that wait, so what no node has now is waited for.
    """

    root: Path = Path("runs")
    data: Path | None = None
    engine: Literal["ray", "inline"] = "ray"
    slots: int | None = None
    address: str | None = None
    mlflow: str | None = None
    resources: tuple[str, ...] = ()
    resources_of: Callable[[Stage], Resources] | None = None
    grow: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a launch ended: all candidates, the report's page, whether Ctrl-C or `drain` cut it short.

    `unsent` says what MLflow did not get, `spent` which budget ended it before all was done.
    """

    population: Population
    page: Path
    interrupted: bool
    unsent: str = ""
    spent: str = ""


def launch(sweep: Sweep, options: Options, console: Console) -> Outcome:
    """Run a sweep to its end, or to Ctrl-C; running it again goes on where it was."""
    refuse_driven(options.root / "sweeps" / sweep.name)  # before what takes long: it need not even be looked at
    searching = searches(sweep)
    held = Store(options.root)
    held.check_format()
    check = checker(options.data, held)
    built = check_corners(sweep, searching, check)
    check_resources(options.resources, options.resources_of, built)
    mlflow_store.check(sweep.name, options.root, options.mlflow)
    if options.engine == "ray":
        check_address(options.address)
    store = Store.open(options.root)
    check_folders(options.root, sweep.name)
    check_claims(options.root)
    SpentFile(options.root, sweep.name).read()  # only to find it damaged before anything is opened: another driver may yet write it
    check_warm_start(sweep, options.root)
    with _peak(console), Lock(options.root / "sweeps" / sweep.name) as lock, _quiet(options, sweep) as terminal:
        display = Display(terminal or console, f"sweep {sweep.name}")
        listeners: list[Callable[[Event], None]] = [display.event]

        def emit(event: Event) -> None:
            lock.check()  # whoever hears this would write
            for listener in listeners:
                listener(event)

        with display:
            files = CandidateFiles(options.root, sweep.name, lock.check)
            population = Population(sweep, store, files, searching=searching, check=check, emit=emit)
            write_declared(sweep, options.root)
            display.watch(population)
            engine = _engine(options, built, display, idle=population.nothing_left)
            log = MlflowLog.open(sweep.name, options.root, options.mlflow, display.say)
            spent = SpentFile(options.root, sweep.name, sweep.budget, lock.check)
            meter = Meter(sweep.budget, spent.read()[0], spent.write)
            controller = Controller(
                population,
                resources=engine.resources,
                claims=Claims(options.root, lock),
                slots=Slots(engine.slots, engine.room, Control(options.root / "sweeps" / sweep.name, lock.me.token)),
                meter=meter,
            )
            listeners.append(_projection(population, log))
            with _interruptible(controller, display):
                try:
                    engine.run(controller, Place(options.root.resolve(), options.data))
                except UserError as error:  # of what the user gave: a space, a sampler, a key that no result has
                    controller.failures.end(error)
                lock.check()
                meter.close(controller.now())
                save_launch(controller, options.root)
                try:
                    page, unsent = _write_down(population, options.root, log)
                finally:
                    if controller.fatal is not None:  # the first failure is told, whatever becomes of the report
                        raise controller.fatal
    spent_by = "" if population.finished_all else meter.over or ""
    return Outcome(population, page, controller.stopping or controller.slots.draining, unsent, spent_by)


def _write_down(population: Population, root: Path, log: MlflowLog) -> tuple[Path, str]:
    """Project every candidate, write the report, project it; returns the page and what MLflow could not be told."""
    for number in sorted(population.candidates):
        log.send(run_rows(population.sweep, population.candidates[number], population.graph))
    log.drain()
    page = write_report(population, root)
    log.send(summary_rows(population, page))
    try:
        log.close()
    except NotSent as error:
        return page, str(error)
    return page, ""


def _projection(population: Population, log: MlflowLog) -> Callable[[Event], None]:
    """Send a candidate's runs whenever it was drawn or judged."""

    def project(event: Event) -> None:
        if event.kind in ("drawn", "candidate", "confirm") and event.candidate is not None:
            log.send(run_rows(population.sweep, population.candidates[event.candidate], population.graph))

    return project


@dataclass(frozen=True)
class _Engine:
    """An engine that is ready: what runs units, what they occupy, how many run at once, and the most that it can (None: no limit)."""

    run: Callable[[Controller, Place], None]
    resources: Callable[[Stage], Resources]
    slots: int | None
    room: int | None


def _engine(options: Options, built: Sequence[Stage], display: Display, *, idle: bool) -> _Engine:
    """The engine, started; with nothing left to run no cluster is asked for."""
    own = declared(options.resources_of) if options.resources_of is not None else None
    if options.engine == "inline" or idle:
        from sweeps.engines import inline

        resources = parsed(list(options.resources), own or cores_only)
        if not idle:
            check_machine(resources, built)
        return _Engine(inline.run, resources, 1, 1)
    from sweeps.engines import cluster, ray_tune

    here = options.address is None
    slots = options.slots or (SLOTS if here else None)
    cluster.connect(slots or SLOTS, options.address)
    resources = parsed(list(options.resources), own or (with_gpus if cluster.gpus() else cores_only))
    units = {part for stage in built for part in walk(stage) if isinstance(part, Stage)}
    there = cluster.nodes()
    if missing := cluster.infeasible(units, resources, there):
        asked = ", ".join(f"{name} ({one})" for name, one in missing.items())
        found = f"--resources: no node of the cluster has what is asked for {asked}. Its nodes: {cluster.described(there)}"
        if not options.grow:
            cure = "join a cluster with RAY_ADDRESS" if here else "add --grow if it starts nodes for units that wait"
            raise UserError(f"{found}. Ask for less, or {cure}.")
        display.say(f"{found}; such units wait until it has grown")
    return _Engine(ray_tune.run, resources, slots, cluster.room(map(resources, units), there) if here else None)


def means(slots: int | None, options: list[str], own: Callable[[Stage], Resources] | None, gpus: int | None, price: float | None) -> Means:
    """What a plan reckons with, as a launch with the same options would have it; `gpus` None: those of this machine."""
    if slots is not None and slots < 1:
        raise UserError(f"--slots = {slots}: must be at least 1. Give the number of units that may run at once.")
    if gpus is not None and gpus < 0:
        raise UserError(f"--gpus = {gpus}: must be 0 or above. Give the number of GPUs to plan with.")
    if price is not None and not 0 <= price < math.inf:
        raise UserError(f"--price = {price}: must be 0 or above. Give the price of an hour of a GPU, or of a core.")
    cards = torch.cuda.device_count() if gpus is None else gpus
    default = declared(own) if own is not None else with_gpus if cards else cores_only
    return Means(slots or SLOTS, cards, parsed(options, default), price)


@contextlib.contextmanager
def _interruptible(controller: Controller, display: Display) -> Iterator[None]:
    """Ctrl-C once: finish the running epochs, save, leave. Twice: end every process we started and leave now."""

    def heard(number: int, frame: FrameType | None) -> None:
        if controller.stopping:
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            display.abandon()
            os._exit(INTERRUPTED)
        controller.stopping = True
        display.say("Ctrl-C: saving after the running epochs, then leaving; press again to leave now")

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _quiet(options: Options, sweep: Sweep) -> Iterator[Console | None]:
    """Under Ray, send what libraries print to `driver.log` and give our own display the terminal."""
    if options.engine == "inline":
        yield None
        return
    path = options.root / "sweeps" / sweep.name / "driver.log"
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with open(path, "ab") as log, os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as terminal:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield Console(file=terminal)
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):  # on a full disk, too, the terminal must be given back
                    stream.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            os.close(saved[0])
            os.close(saved[1])


@contextlib.contextmanager
def _peak(console: Console) -> Iterator[None]:
    """Print the peak memory of the process tree at the end."""
    peak = PeakMemory().start()
    try:
        yield
    finally:
        console.print(f"peak memory {peak.stop() / 1e9:.2f} GB (proportional set size of the process tree)", highlight=False)
