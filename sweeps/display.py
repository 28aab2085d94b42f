"""What a person sees while a sweep runs: a live page in a terminal, one line an event anywhere else."""

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from sweeps import candidate as state
from sweeps.event import Event
from sweeps.graph import HELD, RUNNING
from sweeps.population import Population

_COLOURS = {"diverged": "yellow", "failed": "red", "retry": "yellow", "abroad": "blue", "confirm": "green"}


class Display:
    """Shows a population's events on a console; a context manager. `watch` gives it the population once that exists."""

    def __init__(self, console: Console, title: str) -> None:
        self.console, self.title = console, title
        self.started = time.monotonic()
        self.population: Population | None = None
        self.lines: list[Text] = []
        self.note = ""
        ours = console.file is not sys.stdout  # then what libraries print goes elsewhere already
        self._live = (
            Live(
                get_renderable=self._page,
                console=console,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=not ours,
                redirect_stderr=not ours,
            )
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "Display":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def abandon(self) -> None:
        """Give the terminal its cursor back without waiting for anything; the process ends now."""
        if self._live is not None:
            os.write(self.console.file.fileno(), b"\x1b[?25h\n")

    def watch(self, population: Population) -> None:
        """The population whose state the live page shows."""
        self.population = population

    def say(self, text: str) -> None:
        """A line of our own, such as that Ctrl-C was heard."""
        self.note = text
        self._print(Text(text, style="bold"))

    def event(self, event: Event) -> None:
        """Show an event; of the epochs of a stage, only every fifth part is a line."""
        if event.kind == "epoch" and not self._milestone(event):
            return
        self._print(Text(event.text, style=_COLOURS.get(event.kind, "")))

    def _print(self, text: Text) -> None:
        line = Text(f"{self._clock()} ", style="dim").append_text(text)
        if self._live is not None:
            self.lines = [*self.lines[-7:], line]
        else:
            self.console.print(line, soft_wrap=True, highlight=False)

    def _milestone(self, event: Event) -> bool:
        if self.population is None or event.fingerprint is None:
            return False
        length = self.population.graph.jobs[event.fingerprint].stage.length
        return event.epoch * 5 // length > (event.epoch - 1) * 5 // length

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self.started)
        return f"{seconds // 60:3d}:{seconds % 60:02d}"

    def _page(self) -> RenderableType:
        parts: list[RenderableType] = [Text(f"{self.title}  {self._clock()}  {self.note}", style="bold")]
        if self.population is not None:
            parts += [self._progress(self.population), self._candidates(self.population)]
        return Group(*parts, *self.lines)

    @staticmethod
    def _progress(population: Population) -> RenderableType:
        jobs = list(population.graph.jobs.values())
        bars = Progress(TextColumn("{task.description}"), BarColumn(bar_width=30), MofNCompleteColumn(), auto_refresh=False)
        bars.add_task("stages done", total=len(jobs), completed=sum(job.state == HELD for job in jobs))
        for job in jobs:
            if job.state == RUNNING and job.stage.length:
                bars.add_task(f"{type(job.stage).__name__} {job.fingerprint[:8]}", total=job.stage.length, completed=len(job.curve))
        return bars.get_renderable()

    @staticmethod
    def _candidates(population: Population) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("candidate", "state", "seeds", *(o.name for o in population.sweep.objectives), "knobs"):
            table.add_column(column)
        for c in list(population.candidates.values())[-8:]:
            done = sum(r.state == state.COMPLETE for r in c.replicates)
            values = ["" for _ in population.sweep.objectives] if c.values is None else [f"{value:.4g}" for value in c.values]
            knobs = " ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in c.knobs.items())
            table.add_row(f"{c.number} {c.label}", c.state, f"{done}/{len(c.replicates)}", *values, knobs)
        return table


def printer(console: Console) -> Callable[[Event], None]:
    """One line an event, without a live page."""
    return lambda event: console.print(event.text, soft_wrap=True, highlight=False)
