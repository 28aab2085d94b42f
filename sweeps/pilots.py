"""What is decided about a pilot while it trains: its monitor is watched, and the pruner may give the candidate up.

A monitor's values are kept by per cent of the schedule, so that trainings of different lengths compare.
"""

from typing import TYPE_CHECKING

from analysis.measure import Measure
from sweeps import candidate as state
from sweeps.candidate import Candidate
from sweeps.event import number
from sweeps.graph import HELD, Job, Want
from sweeps.search import should_prune

if TYPE_CHECKING:
    from sweeps.population import Population


class Pilots:
    """The pilots of one population under its sweep's monitor."""

    def __init__(self, population: "Population") -> None:
        self.population, self.sweep, self.graph = population, population.sweep, population.graph

    def monitor_of(self, job: Job) -> Measure | None:
        """The monitor that watches this stage for a pilot, if any."""
        for who in sorted(job.wanted):
            measure = self._monitored(who)
            if measure is not None and self.graph.identity(measure.of) == job.fingerprint:  # type: ignore[arg-type]
                return measure
        return None

    def watch(self, who: Want, job: Job) -> None:
        """Take the monitor's values of a pilot's stage; prune the candidate when its pruner says so."""
        measure = self._monitored(who)
        if measure is None or self.graph.identity(measure.of) != job.fingerprint:  # type: ignore[arg-type]
            return
        candidate = self.population.candidates[who[0]]
        for epoch, metrics in enumerate(job.curve, 1):
            step = round(100 * epoch / job.stage.length)
            if "monitor" not in metrics or step in candidate.intermediate:
                continue
            candidate.intermediate[step] = metrics["monitor"]
            if job.state != HELD and candidate.state == state.OPEN and step < 100 and self._should_prune(candidate):
                reason = f"{self.sweep.monitor} was {number(candidate.intermediate[step])} at {step} % of the schedule"
                self.population.give_up(candidate, state.PRUNED, state.PRUNED, reason)
                return

    def _should_prune(self, candidate: Candidate) -> bool:
        return should_prune(self.sweep, self.population.counted(candidate.number), candidate.told(counts=False))

    def _monitored(self, who: Want) -> Measure | None:
        if self.sweep.monitor is None or who[1:] != ("search", self.sweep.seeds[0]):
            return None
        replicate = self.population.replicate(who)
        stage = replicate.stages.get(self.sweep.monitor) if replicate is not None else None
        return stage if isinstance(stage, Measure) else None
