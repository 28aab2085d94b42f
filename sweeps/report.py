"""The report of a sweep: its candidates and results become one page of tables and pictures."""

from collections import defaultdict
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

from analysis.figures.curves import Curve, curves
from analysis.figures.data import data
from analysis.measure import Drawn, Measure
from analysis.report import Page, Picture, Section, render
from analysis.statistics import distinct
from analysis.table import Table
from contrast.pretraining import Pretraining
from contrast.stage import Stage
from sweeps import candidate as state
from sweeps.candidate import Candidate, Replicate
from sweeps.differences import differences_table
from sweeps.graph import HELD, Job
from sweeps.picture import Family, named
from sweeps.population import Population
from sweeps.results import candidates_table, classes_table, confirmed, label, results_table, valued
from sweeps.search_pictures import search_pictures
from sweeps.signals import against_objective, planes

SHOWN = 4


def write_report(population: Population, root: Path) -> Path:
    """Write `reports/<name>/index.html` of what is finished; returns its path."""
    sweep = population.sweep
    sections = [Section("Results", _finding(population), _tables(population)), *_drawn_sections(population)]
    page = Page(f"Sweep {sweep.name}", sweep.question, tuple(sections), _provenance(population))
    return render(page, root / "reports" / sweep.name)


def pictures(population: Population) -> list[Picture]:
    """Every figure of the report, in its order."""
    return [picture for section in _drawn_sections(population) for picture in section.pictures]


def _drawn_sections(population: Population) -> list[Section]:
    search = _search(population)
    taken = {picture.name for section in search for picture in section.pictures}
    return [*search, *_measures(population, taken)]


def _tables(population: Population) -> tuple[Table, ...]:
    tables = [results_table(population)] if confirmed(population) else []
    differences = differences_table(population)
    return (*tables, *([differences] if differences is not None else []))


def _finding(population: Population) -> str:
    """The knobs of each arm's best, or of those that none dominates, in words."""
    if population.phase == "confirm":
        return "Nothing was searched: every arm ran on the declared seeds."
    lines = []
    what = "On the front:" if population.sweep.several else "Best"
    for c in population.leading():
        knobs = ", ".join(f"{name} = {value:.4g}" if isinstance(value, float) else f"{name} = {value}" for name, value in c.knobs.items())
        values = ", ".join(f"{name} {value:.4g}" for name, value in valued(population.sweep, c).items())
        lines.append(f"{what} {c.label or 'candidate'} (number {c.number}, {values} over {c.n} seeds): {knobs}.")
    return "\n\n".join(lines) or "No candidate is complete yet."


def _search(population: Population) -> list[Section]:
    """Candidates, the objective against the knobs, and the pretraining curves."""
    pictures = []
    if population.phase == "search" and population.candidates:
        pictures += search_pictures(population)
    runs = _curves(population)
    if any(len(run.epochs) > 1 for run in runs):
        rows = tuple((run.label, run.seed, *point) for run in runs for point in zip(run.epochs, run.values, strict=True))
        table = Table("pretraining", ("method", "seed", "epoch", "loss"), rows)
        caption = "Pretraining loss by epoch; of different losses, not comparable."
        pictures.append(Picture("pretraining", curves(runs, "pretraining loss"), caption, table))
    tables = (candidates_table(population),) if population.phase == "search" else ()
    return [Section("Search" if population.phase == "search" else "Training", "", tables, tuple(pictures))] if tables or pictures else []


def _curves(population: Population) -> list[Curve]:
    found: dict[str, Curve] = {}
    for c in population.candidates.values():
        for replicate in c.replicates:
            for job in population.closure(replicate):
                losses = [metrics["loss"] for metrics in job.curve if "loss" in metrics]
                if isinstance(job.stage, Pretraining) and losses:
                    epochs = tuple(float(e) for e in range(1, len(losses) + 1))
                    found[job.fingerprint] = Curve(label(population, c), replicate.seed, epochs, tuple(losses))
    return list(found.values())


def _measures(population: Population, taken: Set[str]) -> list[Section]:
    """A section of pictures: one for each family of measures that has a figure, then what compares all replicates."""
    groups = families(population)
    for family, compared in _across(population).items():
        groups[family] = [*groups.get(family, ()), *compared]
    finite = [(name, [one for one in groups[family] if one.finite]) for name, family in named(groups, taken).items()]
    pictures = [_picture(name, drawn) for name, drawn in finite]
    found = (*(picture for picture in pictures if picture is not None), *planes(finite), *against_objective(population))
    lost = sum(not one.finite for drawn in groups.values() for one in drawn)
    left_out = f" Not in the pictures: {lost} measures whose main result is not finite." if lost else ""
    to_come = sum(r.state == state.OPEN for _, replicates in _shown(population) for r in replicates)
    soon = f" Runs that are not at their end: {to_come}; what they have measured is drawn." if to_come else ""
    phase = "test split, fresh seeds" if population.phase == "search" and confirmed(population) else "seeds of the declaration"
    return [Section("Measures", f"Drawn from the arrays that each measure kept ({phase}).{left_out}{soon}", (), found)] if found else []


def _picture(family: str, drawn: Sequence[Drawn]) -> Picture | None:
    if not drawn:
        return None
    kind = type(drawn[0].measure)
    figure = kind.figure(drawn)
    if figure is None:
        return None
    summary = (kind.figure.__doc__ or kind.__doc__ or "").strip().partition("\n\n")[0]
    return Picture(family, figure, f"{family}: {' '.join(summary.split())}".replace("`", ""), data(drawn, family))


def families(population: Population) -> dict[Family, list[Drawn]]:
    """The finished measures by family, over the replicates that the report shows, also of those that are not at their end yet.

    One that several seeds share is there once, as the first's.
    """
    found: dict[Family, list[Drawn]] = defaultdict(list)
    for c, replicates in _shown(population):
        finished = [(r, key, stage) for r in replicates for key, stage in _finished(population, r)]
        for replicate, key, stage in distinct(((key, r.fingerprints[key]), (r, key, stage)) for r, key, stage in finished):
            panel = key.partition("/")[2]
            found[Family.of(key, stage)].append(_drawn(population, stage, label(population, c), panel, replicate.seed))
    return found


def _finished(population: Population, replicate: Replicate) -> list[tuple[str, Measure]]:
    """The measures of a replicate that are done, by key; none of one that diverged, failed or was given up, which no table has."""
    if replicate.state not in (state.COMPLETE, state.OPEN):
        return []
    jobs = population.graph.jobs
    done = {key: stage for key, stage in replicate.stages.items() if isinstance(stage, Measure)}
    return [(key, stage) for key, stage in done.items() if jobs[replicate.fingerprints[key]].state == HELD]


def _shown(population: Population) -> list[tuple[Candidate, list[Replicate]]]:
    """The candidates that are confirmed, or run without a search; until one is confirmed, the best few of the search."""
    if population.phase == "confirm" or any(r.state == state.COMPLETE for _, replicates in confirmed(population) for r in replicates):
        return confirmed(population)
    return [(c, c.of_phase("search")) for c in population.best(SHOWN)]


def _drawn(population: Population, stage: Measure, method: str, panel: str, seed: int, of: tuple[tuple[str, int], ...] = ()) -> Drawn:
    artefact = population.store.artefact(stage, population.graph.identity(stage))
    kept = (artefact.folder / "arrays.npz").exists()
    return Drawn(method, panel, seed, artefact.results, artefact.arrays() if kept else dict[str, np.ndarray](), stage, of)


def _across(population: Population) -> dict[Family, list[Drawn]]:
    owners: dict[Stage, tuple[str, int]] = {}
    for c, replicates in confirmed(population):
        for replicate in replicates:
            owners |= {job.stage: (label(population, c), replicate.seed) for job in population.closure(replicate)}
    found: dict[Family, list[Drawn]] = defaultdict(list)
    for key, stage in population.finals.across.items():
        panel = key.partition("/")[2]
        job = population.graph.jobs[population.graph.identity(stage)]
        if isinstance(stage, Measure) and isinstance(stage.of, tuple) and job.state == HELD:
            found[Family.of(key, stage)].append(_drawn(population, stage, "", panel, 0, tuple(owners[one] for one in stage.of)))
    return found


def _provenance(population: Population) -> Table:
    """With what the stages were made, and how long each class took."""
    jobs: list[Job] = [job for job in population.graph.jobs.values() if job.state == HELD]
    records = [population.store.held(job.stage, job.fingerprint) for job in jobs]
    made = {
        name: sorted({r.made_by.get(name, "") for r in records if r is not None})
        for name in ("python", "torch", "threads", "commit", "code", "host")
    }
    rows = [(name, ", ".join(values)) for name, values in made.items()]
    rows += [("seeds", ", ".join(map(str, population.sweep.seeds))), ("sampler seed", str(population.sweep.sampler_seed))]
    rows += [(f"time in {row[0]}", f"{row[4]:.1f} s in {row[1]} stages") for row in classes_table(population).rows]
    return Table("Provenance", ("what", "with"), tuple(rows))
