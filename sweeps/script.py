"""The command line: one application for the catalogue (`python -m sweeps`) and for a script that calls `main(sweep)`."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from contrast.component import UserError
from contrast.stage import Stage
from sweeps import store_commands
from sweeps.budget import limited
from sweeps.calling import call
from sweeps.disk import full, refusal
from sweeps.ending import INTERRUPTED, tell
from sweeps.failures import SweepFailed
from sweeps.resources import Resources
from sweeps.store_commands import ROOT, AsJson, Root, terminal
from sweeps.sweep import Sweep

if TYPE_CHECKING:
    from sweeps.control import Wish

Declared = Sweep | Callable[[str], Sweep]
Needed = Callable[[Stage], Resources] | None
app = typer.Typer(add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False, help="Sweeps over contrastive learning.")
_known: dict[str, Declared] = {}

Name = Annotated[str, typer.Argument(help="The sweep: a name that `list` shows.")]
Preset = Annotated[str | None, typer.Option(help="The scale of the sweep: smoke, mini or paper; mini if left out.")]
Data = Annotated[Path | None, typer.Option(envvar="CONTRAST_DATA", help="Folder of the images.")]
Trials = Annotated[int | None, typer.Option(help="Candidates per arm, instead of what the sweep declares.")]
Seeds = Annotated[str | None, typer.Option(help="Seeds, such as 0,10,20, instead of those the sweep declares.")]
Fix = Annotated[list[str] | None, typer.Option("--fix", help="knob=value to hold, more than once if needed.")]
Engine = Annotated[Literal["ray", "inline"], typer.Option(help="Ray Tune, or this process.")]
Slots = Annotated[int | None, typer.Option(help="Units at once; if not given, 2 on this machine, what fits on a cluster.")]
Mlflow = Annotated[str | None, typer.Option(help="Tracking server; the default is SQLite under --root.")]
Needs = Annotated[list[str] | None, typer.Option("--resources", help="Class=gpu:N,cpu:N, more than once if needed.")]
Grow = Annotated[bool, typer.Option("--grow", help="The cluster starts nodes for units that wait: wait for what no node has yet.")]
Gpus = Annotated[int | None, typer.Option("--gpus", help="GPUs to plan with; if not given, those of this machine.")]
Price = Annotated[float | None, typer.Option("--price", help="Price of an hour of a GPU, or of a core where no GPU is used.")]
Hours = Annotated[float | None, typer.Option("--hours", help="Budget: hours of wall time, over all launches.")]
CoreHours = Annotated[float | None, typer.Option("--core-hours", help="Budget: core-hours, over all launches.")]
GpuHours = Annotated[float | None, typer.Option("--gpu-hours", help="Budget: GPU-hours, over all launches.")]


app.command()(store_commands.show)
app.command()(store_commands.logs)
app.command("diff")(store_commands.compare)
app.command("forget")(store_commands.remove)
app.command("gc")(store_commands.collect)


def main(sweep: Declared, argv: list[str] | None = None, *, resources: Needed = None) -> None:
    """The command line of one script: `python mine.py run`, `plan`, `one`, `status`, `report`, `resize`, `drain`, ...

    `resources`: what a unit occupies as a function of its stage, where `--resources` does not say it.
    """
    if not isinstance(sweep, Sweep | FunctionType):
        raise UserError(f"main({sweep!r}): must be given a Sweep, or a function that makes one for a preset. Pass Sweep(...).")
    if resources is not None and not callable(resources):
        raise UserError(f"main(resources={resources!r}): must be a function of a stage. Pass one that returns Resources(cpus=1, gpus=0).")
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = sweep.name if isinstance(sweep, Sweep) else sweep.__name__
    if arguments and arguments[0] in ("run", "plan", "one", "status", "report", "resize", "drain"):
        arguments.insert(1, name)
    serve({name: sweep}, arguments, resources)


def serve(known: dict[str, Declared], argv: list[str] | None = None, resources: Needed = None) -> None:
    """Run the application over these sweeps; a user's mistake, or a file in the way, ends with one message and exit code 2."""
    _known.clear()
    _known.update(known)
    try:
        app(args=argv, prog_name="sweeps", obj=resources)
    except UserError as error:
        tell(error)
        raise SystemExit(2) from None
    except SweepFailed as error:
        tell(error)
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None and not full(error):  # not about a file: a connection, or a defect
            raise
        tell(UserError(refusal(error)))
        raise SystemExit(2) from None


@app.command("list")
def list_sweeps() -> None:
    """The sweeps there are, with the question each asks."""
    console = terminal()
    for name, declared in _known.items():
        question = declared.question if isinstance(declared, Sweep) else (sys.modules[declared.__module__].__doc__ or "")
        console.print(f"[bold]{name}[/bold]  {question.strip().splitlines()[0] if question.strip() else ''}", highlight=False)


@app.command()
def plan(
    context: typer.Context,
    name: Name,
    preset: Preset = None,
    root: Root = ROOT,
    trials: Trials = None,
    seeds: Seeds = None,
    fix: Fix = None,
    slots: Slots = None,
    resources: Needs = None,
    gpus: Gpus = None,
    price: Price = None,
    as_json: AsJson = False,
) -> None:
    """What would run, what is held already, how long the rest takes and what it costs, without running anything."""
    from sweeps.forecast import forecast
    from sweeps.launch import means
    from sweeps.launch_checks import searches
    from sweeps.results import plan_table
    from sweeps.store import Untouched

    sweep = _find(name, preset, trials, seeds, fix)
    store = Untouched(root)
    store.check_format()
    found = forecast(sweep, store, searches(sweep), means(slots, resources or [], context.obj, gpus, price))
    if as_json:
        print(json.dumps(found.as_json(), indent=1))
    else:
        terminal().print(plan_table(sweep, found))


@app.command()
def run(
    context: typer.Context,
    name: Name,
    preset: Preset = None,
    root: Root = ROOT,
    data: Data = None,
    trials: Trials = None,
    seeds: Seeds = None,
    fix: Fix = None,
    engine: Engine = "ray",
    slots: Slots = None,
    mlflow: Mlflow = None,
    resources: Needs = None,
    grow: Grow = False,
    hours: Hours = None,
    core_hours: CoreHours = None,
    gpu_hours: GpuHours = None,
) -> None:
    """Run a sweep; the same command again goes on where it was."""
    from sweeps.launch import Options, launch
    from sweeps.summary import print_summary

    sweep = _find(name, preset, trials, seeds, fix)
    sweep = replace(sweep, budget=limited(sweep.budget, hours=hours, core_hours=core_hours, gpu_hours=gpu_hours))
    if slots is not None and slots < 1:
        raise UserError(f"--slots = {slots}: must be at least 1. Give the number of units that may run at once.")
    if engine == "inline" and slots is not None and slots > 1:
        raise UserError(f"--slots = {slots}: this process runs one unit at a time. Leave out --slots, or --engine inline.")
    console = terminal()
    options = Options(root, data, engine, slots, os.environ.get("RAY_ADDRESS"), mlflow, tuple(resources or ()), context.obj, grow)
    try:
        outcome = launch(sweep, options, console)
    except KeyboardInterrupt:  # before anything ran, so there is nothing to save
        raise typer.Exit(INTERRUPTED) from None
    print_summary(outcome.population, outcome.page, options.root, options.mlflow, console)
    if outcome.unsent:
        Console(stderr=True).print(outcome.unsent, style="yellow", soft_wrap=True, highlight=False, markup=False)
    if outcome.spent:
        console.print(f"{outcome.spent}; the same command with a larger budget goes on", highlight=False, soft_wrap=True)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)
    if any(candidate.state == "failed" for candidate in outcome.population.candidates.values()):
        raise typer.Exit(1)


@app.command()
def resize(
    name: Name,
    slots: Annotated[int, typer.Argument(help="Units at once from now on.")],
    preset: Preset = None,
    root: Root = ROOT,
) -> None:
    """Change how many units a sweep at work runs at once; fewer take effect as running units end."""
    from sweeps.control import Wish

    _ask(name, preset, root, Wish(slots=slots), f"to run {slots} at once")


@app.command()
def drain(name: Name, preset: Preset = None, root: Root = ROOT) -> None:
    """Let a sweep at work finish its running units and leave; the same `run` goes on later."""
    from sweeps.control import Wish

    _ask(name, preset, root, Wish(drain=True), "to leave when its running units have ended")


def _ask(name: str, preset: str | None, root: Path, wish: "Wish", what: str) -> None:
    from sweeps.control import ask

    owner = ask(root / "sweeps" / _find(name, preset, None, None).name, wish)
    terminal().print(f"asked the driver (pid {owner.pid} on {owner.host}) {what}; its own lines say when it does", highlight=False)


@app.command()
def one(
    name: Name,
    knobs: Annotated[list[str] | None, typer.Argument(help="knob=value; others take the low end of their range.")] = None,
    arm: Annotated[str | None, typer.Option(help="The arm's label.")] = None,
    preset: Preset = None,
    root: Root = ROOT,
    data: Data = None,
    seed: Annotated[int, typer.Option(help="The seed.")] = 0,
) -> None:
    """Run a single point in this process, in the search phase, and print its results."""
    from sweeps.one import run_one

    run_one(_find(name, preset, None, None), arm, knobs or [], seed, root, data, terminal())


@app.command()
def status(
    name: Name,
    preset: Preset = None,
    root: Root = ROOT,
    trials: Trials = None,
    seeds: Seeds = None,
    fix: Fix = None,
    as_json: AsJson = False,
) -> None:
    """How far a sweep is."""
    from sweeps.results import status_of, status_table

    found = status_of(_find(name, preset, trials, seeds, fix), root)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        terminal().print(status_table(found))


@app.command()
def report(name: Name, preset: Preset = None, root: Root = ROOT, trials: Trials = None, seeds: Seeds = None, fix: Fix = None) -> None:
    """Write the report of what is finished, and print where it lies."""
    from sweeps.report import write_report
    from sweeps.results import adopted
    from sweeps.summary import print_summary

    sweep = _find(name, preset, trials, seeds, fix)
    if not (root / "store").is_dir():
        raise UserError(f"--root = {str(root)!r}: has no store, so there is nothing to report. Name the --root of a run.")
    population = adopted(sweep, root)
    print_summary(population, write_report(population, root), root, None, terminal())


@app.command()
def gallery(root: Root = ROOT) -> None:
    """Draw the figures of the sweeps below the root that `list` shows on one page, from what their measures kept."""
    from sweeps.gallery import write_gallery

    folders = sorted(path.name for path in (root / "sweeps").glob("*") if path.is_dir())
    if not folders:
        raise UserError(f"--root = {str(root)!r}: has no sweep, so there is nothing to draw. Name the --root of a run.")
    known = {folder: sweep for folder in folders if (sweep := _called(folder)) is not None}
    if not known:
        rule = f"has sweeps that are declared in scripts of their own ({', '.join(folders)}), which draw them"
        raise UserError(f"--root = {str(root)!r}: {rule}. Run python <script>.py gallery --root {root}.")
    for folder in folders:
        if folder not in known:
            print(f"left out: {folder}, which is declared elsewhere; its own script draws it (python <script>.py gallery)")
    print(f"gallery {write_gallery(list(known.values()), root)}")


def _called(folder: str) -> Sweep | None:
    """The sweep whose files lie in a folder of that name, under its own name or that of a catalogue entry and a preset."""
    if folder in _known:
        return _find(folder, None, None, None)
    name, _, preset = folder.rpartition("-")
    return _find(name, preset, None, None) if callable(_known.get(name)) else None


def _find(name: str, preset: str | None, trials: int | None, seeds: str | None, fix: list[str] | None = None) -> Sweep:
    if name not in _known:
        raise UserError(f"sweep = {name!r}: there is no such sweep. Choose one of {', '.join(_known)}.")
    declared = _known[name]
    if isinstance(declared, Sweep) and preset is not None:
        raise UserError(f"--preset = {preset!r}: the sweep {name!r} has no presets. Leave out --preset.")
    sweep = declared if isinstance(declared, Sweep) else _declared(name, declared, preset or "mini")
    if trials is not None and trials < 1:
        raise UserError(f"--trials = {trials}: must be at least 1. Give the number of candidates per arm.")
    with _reading("--seeds", seeds):
        numbers = tuple(int(part) for part in seeds.split(",")) if seeds is not None else None
    from sweeps.search import settings

    return sweep.with_options(trials, numbers, settings(fix or ()))


def _declared(name: str, declare: Callable[[str], Sweep], preset: str) -> Sweep:
    sweep = call(f"sweep {name!r}", f"{name}(preset)", declare, preset)
    if not isinstance(sweep, Sweep):
        raise UserError(f"sweep {name!r}: must return a Sweep, got {sweep!r}. Return Sweep(...).")
    return sweep


@contextlib.contextmanager
def _reading(option: str, text: str | None) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{option} = {text!r}: must be numbers separated by commas. Write for example 0,10,20.") from error
