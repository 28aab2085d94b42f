"""A single point of a space, in this process: the way to try, debug and profile what a sweep will do."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis.table import to_rich
from contrast.component import UserError
from sweeps.candidate import CandidateFiles
from sweeps.claims import Claims
from sweeps.controller import Controller
from sweeps.display import printer
from sweeps.engines import inline
from sweeps.engines.worker import Place
from sweeps.launch_checks import checker
from sweeps.lock import passing
from sweeps.population import Population
from sweeps.results import one_table
from sweeps.search import checked_knobs, fixed, settings
from sweeps.store import Store
from sweeps.sweep import Sweep, call_space


def run_one(sweep: Sweep, arm: str | None, given: Sequence[str], seed: int, root: Path, data: Path | None, console: Console) -> None:
    """Run the point `knob=value ...` of one arm at one seed and print its metrics; its stages are kept like any others."""
    label, point = _arm(sweep, arm)
    knobs = checked_knobs(sweep, point, settings(given))
    stages = call_space(sweep, fixed(knobs), seed, "search", point)
    store = Store.open(root)
    checker(data, store)(stages, "search")
    single = Sweep(f"{sweep.name}-one", lambda trial, seed, phase: call_space(sweep, fixed(knobs), seed, "search", point), seeds=(seed,))
    with passing(root) as lock:
        files = CandidateFiles(root, lock.folder.name, lock.check)  # they tell others what is in use here, and go with the lock
        population = Population(single, store, files, searching=False, check=lambda s, p: None, emit=printer(console))
        controller = Controller(population, claims=Claims(root, lock))
        inline.run(controller, Place(root.resolve(), data))
    if controller.fatal is not None:
        raise controller.fatal
    (candidate,) = population.candidates.values()
    if candidate.state != "complete":
        raise UserError(f"the point {knobs} of {sweep.name} is {candidate.state}: {candidate.reason.strip()}")
    console.print(to_rich(one_table(f"{sweep.name} {label}".strip(), candidate.replicates[0].metrics)))


def _arm(sweep: Sweep, wanted: str | None) -> tuple[str, dict[str, object]]:
    arms = dict(sweep.arm_list)
    if wanted is None:
        return next(iter(arms.items()))
    if wanted not in arms:
        raise UserError(f"--arm = {wanted!r}: the sweep {sweep.name!r} has no such arm. Choose one of {', '.join(arms)}.")
    return wanted, arms[wanted]
