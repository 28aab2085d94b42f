"""What comes after the search: the best of each arm on fresh seeds, then what compares all confirmed replicates."""

from typing import TYPE_CHECKING

from contrast.component import UserError
from contrast.stage import Stage
from sweeps import candidate as state
from sweeps.event import Event
from sweeps.graph import DIVERGED, FAILED, HELD, Want, all_stages
from sweeps.sweep import Run, call_across

if TYPE_CHECKING:
    from sweeps.population import Population

ACROSS: Want = (-1, "confirm", -1)


class Finals:
    """Confirmation and comparison of one population; `across` are the stages that compare, by key, once they are wanted."""

    def __init__(self, population: "Population") -> None:
        self.population, self.sweep = population, population.sweep
        self.across: dict[str, Stage] = {}
        self._compared = "no" if self.sweep.across is None else "later"
        self._confirms = population.phase == "search" and self.sweep.confirm is not None
        self._confirming = False
        if population.phase == "search" and self.sweep.across is not None and self.sweep.confirm is None:
            raise UserError("Sweep.across: compares confirmed replicates, and nothing is confirmed. Give confirm=, or leave across= out.")

    @property
    def finished(self) -> bool:
        """Whether all that follows the search is done."""
        return (not self._confirms or (self._confirming and self._settled)) and self._compared in ("no", "done")

    def advance(self) -> None:
        """Go on to confirmation, then to what compares all replicates; every candidate must be judged."""
        if self._confirms and not self._confirming:
            self._confirming = True
            self._confirm()
        if not self._confirms or self._settled:
            self._compare()

    def done(self) -> list[Run]:
        """The complete replicates of the confirm phase in order of arm, candidate, seed."""
        arms = len(self.sweep.arm_list)
        ordered = sorted(self.population.candidates.values(), key=lambda c: (c.number % arms, c.number))
        return [Run(c.label, c.knobs, r.seed, r.stages) for c in ordered for r in c.of_phase("confirm") if r.state == state.COMPLETE]

    @property
    def _settled(self) -> bool:
        return all(r.state != state.OPEN for c in self.population.candidates.values() for r in c.of_phase("confirm"))

    def _confirm(self) -> None:
        """Want the best of each arm on fresh seeds."""
        assert self.sweep.confirm is not None
        for candidate in self.population.best(self.sweep.confirm.top):
            text = f"candidate {candidate.number} {candidate.label} goes on to fresh seeds"
            self.population.emit(Event("confirm", text, candidate.number))
            self.population.add_seeds(candidate, self.sweep.confirm.seeds, "confirm")

    def _compare(self) -> None:
        """Want the `across` stages, then see whether they are settled."""
        graph = self.population.graph
        if self._compared == "later" and self.sweep.across is not None:
            self.across = call_across(self.sweep, self.done())
            self.population.check(self.across, "confirm")
            for stage in self.across.values():
                graph.want(stage, ACROSS)
            self._compared = "wanted"
            self.write()
        if self._compared == "wanted" and all(map(self._over, self.across.values())):
            self._compared = "done"

    def write(self) -> None:
        """Write down what compares all replicates, once it is wanted and files may be written."""
        if self.across and self.population.writes:
            graph = self.population.graph
            jobs = [graph.job(one) for stage in self.across.values() for one in (stage, *all_stages(stage))]
            stages = {key: graph.identity(stage) for key, stage in self.across.items()}
            self.population.files.write_across(stages, {job.fingerprint: job.needs for job in jobs})

    def _over(self, stage: Stage) -> bool:
        """Whether a stage is held, or never will be."""
        graph = self.population.graph
        job, *needs = (graph.jobs[graph.identity(one)] for one in (stage, *all_stages(stage)))
        return job.state == HELD or any(one.state in (DIVERGED, FAILED) for one in (job, *needs))
