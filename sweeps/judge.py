"""How a candidate ends: complete, pruned, diverged or failed, and with what values.

A replicate is complete when all its stages are held; one that diverged or failed ends its candidate. What is decided is
written at once and told to whoever listens.
"""

import math
from typing import TYPE_CHECKING

from sweeps import candidate as state
from sweeps.candidate import Candidate, Replicate
from sweeps.event import Event, number
from sweeps.graph import DIVERGED, FAILED, HELD, Want
from sweeps.sweep import named

if TYPE_CHECKING:
    from sweeps.population import Population


class Judge:
    """Judges the candidates of one population."""

    def __init__(self, population: "Population") -> None:
        self.population, self.sweep, self.graph = population, population.sweep, population.graph

    def settled(self, who: Want) -> None:
        """Something a replicate wants was settled: see whether it is complete, diverged or failed, and go on."""
        replicate = self.population.replicate(who)
        if replicate is None or replicate.state != state.OPEN:
            return
        self._look(replicate)
        if replicate.state != state.OPEN:
            self._judge(self.population.candidates[who[0]], replicate)

    def _look(self, replicate: Replicate) -> None:
        """How far the stages of a replicate are: its metrics, and whether it is complete, diverged or failed."""
        jobs = self.population.closure(replicate)
        for bad, verdict in ((DIVERGED, state.DIVERGED), (FAILED, state.FAILED)):
            reasons = [job.reason for job in jobs if job.state == bad]
            if reasons and replicate.state == state.OPEN:
                replicate.state, replicate.reason = verdict, reasons[0]
        tops = {key: self.graph.jobs[identity] for key, identity in replicate.fingerprints.items()}
        replicate.metrics = {k: v for key, job in tops.items() if job.state == HELD for k, v in named(key, job.results).items()}
        if replicate.state == state.OPEN and all(job.state == HELD for job in tops.values()):
            replicate.state = state.COMPLETE

    def _judge(self, candidate: Candidate, replicate: Replicate) -> None:
        """A replicate ended: judge the candidate, or give it its further seeds."""
        if replicate.state in (state.DIVERGED, state.FAILED):
            self.graph.release((candidate.number, replicate.phase, replicate.seed))
        mine = candidate.of_phase(self.population.phase)
        verdicts = [r.state for r in mine]
        bad = next((v for v in (state.FAILED, state.DIVERGED) if v in verdicts), None)
        settled = state.OPEN not in verdicts
        if candidate.state == state.OPEN and bad is not None and (self.population.phase == "search" or settled):
            self.give_up(candidate, bad, state.STOPPED, next(r.reason for r in mine if r.state == bad))
        elif candidate.state == state.OPEN and settled and len(mine) < len(self.sweep.seeds) and not candidate.raced:
            self.population.race.go_on(candidate)
        elif candidate.state == state.OPEN and settled:
            self._close(candidate, state.COMPLETE)
        if candidate.state != state.OPEN:  # until then nothing is decided, and results are in the store
            self.population.write(candidate)

    def _close(self, candidate: Candidate, verdict: str) -> None:
        """The candidate is judged. Only a complete one has a value, so that what is shown does not depend on who was faster."""
        complete = [r for r in candidate.of_phase(self.population.phase) if r.state == state.COMPLETE]
        objectives = self.sweep.objectives
        if objectives and verdict == state.COMPLETE:
            values = tuple(objective.over_seeds([objective.of_seed(r.metrics) for r in complete]) for objective in objectives)
            bad = next((i for i, value in enumerate(values) if not math.isfinite(value)), None)
            if bad is None:
                violations = {one.name: one.violation([r.metrics for r in complete]) for one in self.sweep.constraints}
                candidate.values, candidate.violations = values, violations  # both or neither, where a constraint's key is not there
            elif self.population.phase == "search":
                verdict, candidate.reason = state.DIVERGED, f"{objectives[bad].name} came out as {values[bad]}"
        candidate.state = verdict
        candidate.n = len(complete) if verdict == state.COMPLETE or self.population.phase == "confirm" else 0
        judged = zip(objectives, candidate.values or (), strict=False)
        value = "".join(f", {objective.name} = {number(found)}" for objective, found in judged)
        value += f" over {candidate.n} seeds" if value else ""
        value += "" if candidate.feasible else ", which breaks a constraint"
        reason = f": {candidate.reason.strip().splitlines()[-1]}" if candidate.reason.strip() else ""
        self.population.emit(
            Event("candidate", f"candidate {candidate.number} {candidate.label} is {verdict}{value}{reason}", candidate.number)
        )
        self.population.race.forget(candidate)
        self.population.race.judged()

    def give_up(self, candidate: Candidate, verdict: str, left: str, reason: str) -> None:
        """The search wants nothing more of a candidate, which gets `verdict`; replicates that are not through get `left`.

        So do those that happened to be through before, without their metrics: who was faster is not told. Pilots stay
        complete when a later seed is the cause, since that began after them.
        """
        candidate.reason = reason
        mine, pilots, searching = candidate.of_phase(self.population.phase), self.population.first_seeds, self.population.phase == "search"
        early = searching and all(r.seed in pilots for r in mine if r.state in (state.DIVERGED, state.FAILED))
        for replicate in mine:
            self.graph.release((candidate.number, replicate.phase, replicate.seed))
            if replicate.state == state.OPEN:
                self._look(replicate)
            chance = early or (searching and replicate.seed not in pilots)
            if replicate.state == state.OPEN or (chance and replicate.state == state.COMPLETE):
                replicate.state, replicate.reason = left, reason
            if chance:
                replicate.metrics = {}
        if early and verdict != state.PRUNED:
            candidate.intermediate = {}
        self._close(candidate, verdict)
        self.population.write(candidate)

    def race_out(self, candidate: Candidate, reason: str) -> None:
        """A candidate that is clearly behind is judged by the seeds that it has."""
        candidate.raced, candidate.reason = True, reason
        self._close(candidate, state.COMPLETE)
        self.population.write(candidate)

    def audit(self, candidate: Candidate, step: int) -> None:
        """The pruner would stop a candidate that the audit lets go on."""
        candidate.audited = True
        text = f"candidate {candidate.number} {candidate.label} would be pruned at {step} % of the schedule and goes on: audit"
        self.population.emit(Event("audit", text, candidate.number))
        self.population.write(candidate)
