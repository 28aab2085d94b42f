"""The candidates of a sweep, and what is decided about them: drawn, seeded, pruned, judged, confirmed, compared.

Everything follows from the declaration, the candidate files and the store, so a launch that was cut off goes on by running
it again. Whoever reports on a sweep reads this; who runs it is the controller's business.
"""

import math
from collections.abc import Callable

from optuna.trial import TrialState

from analysis.measure import Measure
from contrast.component import UserError
from contrast.data.dataset import Phase
from contrast.stage import Stage
from sweeps import candidate as state
from sweeps.candidate import Candidate, CandidateFiles, Replicate, Saved
from sweeps.event import Event, number
from sweeps.graph import DIVERGED, FAILED, HELD, Graph, Job, Want, all_stages
from sweeps.search import Told, draw, fixed, should_prune
from sweeps.store import Store
from sweeps.sweep import Run, Sweep, call_across, call_space, judged, named, refuse_idle_monitor

ACROSS: Want = (-1, "confirm", -1)
Check = Callable[[dict[str, Stage], Phase], None]


class Population:
    """All candidates of one sweep and the graph of what they want. `check(stages, phase)` raises `UserError` for stages that cannot run."""

    def __init__(
        self, sweep: Sweep, store: Store, files: CandidateFiles, *, searching: bool, check: Check, emit: Callable[[Event], None]
    ) -> None:
        self.sweep, self.store, self.files = sweep, store, files
        self.phase: Phase = "search" if searching else "confirm"
        self.trials = sweep.trials if searching else 1
        self.check, self.emit = check, emit
        self.graph = Graph(store)
        self.candidates: dict[int, Candidate] = {}
        self.across: dict[str, Stage] = {}
        self.across_state = "no" if sweep.across is None else "later"
        self.confirming = False
        if searching and sweep.across is not None and sweep.confirm is None:
            raise UserError("Sweep.across: compares confirmed replicates, and nothing is confirmed. Give confirm=, or leave across= out.")
        self._before: dict[int, Saved] = {}
        self._adopted = False
        arms = len(sweep.arm_list)
        for at, saved in sorted(files.read().items()):
            # A draw rests on those before it: behind a missing file candidates are drawn again, beyond fewer trials not at all.
            if at < self.trials * arms and (at < arms or at - arms in self.candidates):
                self._readopt(saved)
        self.advance()
        # Only now: a launch that is refused, or killed here, leaves the files as they were.
        self._adopted = True
        for candidate in self.candidates.values():
            self._write(candidate)

    def _write(self, candidate: Candidate) -> None:
        if self._adopted:
            self.files.write(candidate)

    @property
    def pilots(self) -> tuple[int, ...]:
        """The seeds that run before the others, under the pruner."""
        return self.sweep.seeds[: self.sweep.pilot]

    @property
    def first_seeds(self) -> tuple[int, ...]:
        """The seeds a candidate begins with: its pilots in a search, all where nothing is searched."""
        return self.pilots if self.phase == "search" else self.sweep.seeds

    def _seeds(self, phase: Phase) -> tuple[int, ...]:
        """The seeds that the declaration has in a phase."""
        if phase == self.phase:
            return self.sweep.seeds
        return self.sweep.confirm.seeds if phase == "confirm" and self.sweep.confirm is not None else ()

    def draw_one(self) -> bool:
        """Draw one more candidate, of the arm that has fewest; False when none may be drawn now."""
        arms = self.sweep.arm_list
        drawn = [sum(c.number % len(arms) == a for c in self.candidates.values()) for a in range(len(arms))]
        for a in sorted(range(len(arms)), key=lambda a: drawn[a]):
            index = drawn[a]
            if index < self.trials and self._counted(a, index):
                label, arm = arms[a]
                point = draw(self.sweep, arm, index, self._history(a, index), self.phase)
                self._open(Candidate(index * len(arms) + a, index, label, arm, point.knobs, point.distributions), point.stages)
                return True
        return False

    def _counted(self, arm: int, index: int) -> bool:
        """Whether the results that candidate `index` may see are all there."""
        arms = len(self.sweep.arm_list)
        return all(self.candidates[i * arms + arm].state != state.OPEN for i in range(max(0, index - self.sweep.window + 1)))

    def _history(self, arm: int, index: int) -> list[Told]:
        """What the sampler and the pruner see for candidate `index` of an arm."""
        arms = len(self.sweep.arm_list)
        return [self.candidates[i * arms + arm].told(counts=i <= index - self.sweep.window) for i in range(index)]

    def _open(self, candidate: Candidate, stages: dict[str, Stage]) -> None:
        """A new candidate: check it, write its file, want its pilots."""
        self.check(stages, self.phase)
        self.candidates[candidate.number] = candidate
        knobs = ", ".join(f"{name}={number(value)}" for name, value in candidate.knobs.items())
        self.emit(Event("drawn", f"candidate {candidate.number} {candidate.label} {knobs}".rstrip(), candidate.number))
        for seed in self.first_seeds:
            known = stages if seed == self.sweep.seeds[0] else None
            candidate.replicates.append(self._replicate(candidate, seed, self.phase, known))
        self._start(candidate, candidate.replicates)

    def _readopt(self, saved: Saved) -> None:
        """A candidate of an earlier launch: the same point again; what the store holds is done."""
        arms = self.sweep.arm_list
        index, a = divmod(saved.number, len(arms))
        label, arm = arms[a]
        if saved.label != label:
            cure = "Give the sweep another name, or delete its folder; stages are kept."
            was = f"sweep {self.sweep.name!r}: candidate {saved.number} belongs to arm {saved.label!r}"
            raise UserError(f"{was}, the declaration says {label!r}. {cure}")
        point = fixed(saved.knobs)
        try:
            stages = call_space(self.sweep, point, self.sweep.seeds[0], self.phase, arm)
        except UserError as error:
            cure = "Give the changed sweep another name (finished stages are shared all the same), or undo the change."
            raise UserError(f"sweep {self.sweep.name!r}: candidate {saved.number} cannot be taken up again. {error} {cure}") from error
        candidate = Candidate(saved.number, index, label, arm, dict(point.params), dict(point.distributions))
        self.candidates[candidate.number], self._before[candidate.number] = candidate, saved
        for seed in self.first_seeds:
            candidate.replicates.append(self._replicate(candidate, seed, self.phase, stages if seed == self.sweep.seeds[0] else None))
        self.check(stages, self.phase)
        for at in saved.replicates:  # those that are wanted later only, too: nothing may run when one of them has changed
            if at["seed"] in self._seeds(at["phase"]):
                self._replicate(candidate, at["seed"], at["phase"])
        if saved.state == state.PRUNED:
            candidate.state, candidate.reason = state.PRUNED, saved.reason
            candidate.intermediate = {int(step): value for step, value in saved.intermediate.items()}
            for replicate in candidate.replicates:
                replicate.state = state.PRUNED
        else:
            self._start(candidate, candidate.replicates)

    def _replicate(self, candidate: Candidate, seed: int, phase: Phase, stages: dict[str, Stage] | None = None) -> Replicate:
        stages = stages or call_space(self.sweep, fixed(candidate.knobs), seed, phase, candidate.arm)
        if phase == "search":
            refuse_idle_monitor(self.sweep, stages)
        replicate = Replicate(seed, phase, stages, {key: self.graph.identity(stage) for key, stage in stages.items()})
        if candidate.number in self._before:
            self._before[candidate.number].refuse_drift(self.sweep.name, replicate)
        return replicate

    def _start(self, candidate: Candidate, replicates: list[Replicate]) -> None:
        """Want the stages of these replicates; whatever is held already counts at once."""
        for replicate in replicates:
            who = (candidate.number, replicate.phase, replicate.seed)
            for stage in replicate.stages.values():
                self.graph.want(stage, who)
            for job in self.closure(replicate):
                if job.curve:
                    self.watch(who, job)
        self._write(candidate)
        for replicate in replicates:
            self.settled((candidate.number, replicate.phase, replicate.seed))

    def closure(self, replicate: Replicate) -> list[Job]:
        """The jobs of a replicate: what it returns and all that is nested in it."""
        stages = dict.fromkeys(stage for top in replicate.stages.values() for stage in (top, *all_stages(top)))
        return [self.graph.job(stage) for stage in stages]  # of a candidate that was pruned earlier they may be new

    def settled(self, who: Want) -> None:
        """Something a replicate wants was settled: see whether it is complete, diverged or failed, and go on."""
        if who == ACROSS:
            return
        candidate = self.candidates[who[0]]
        replicate = next(r for r in candidate.replicates if (r.phase, r.seed) == who[1:])
        if replicate.state != state.OPEN:
            return
        self._look(replicate)
        if replicate.state != state.OPEN:
            self._judge(candidate, replicate)

    def _look(self, replicate: Replicate) -> None:
        """How far the stages of a replicate are: its metrics, and whether it is complete, diverged or failed."""
        jobs = self.closure(replicate)
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
        mine = candidate.of_phase(self.phase)
        verdicts = [r.state for r in mine]
        bad = next((v for v in (state.FAILED, state.DIVERGED) if v in verdicts), None)
        settled = state.OPEN not in verdicts
        if candidate.state == state.OPEN and bad is not None and (self.phase == "search" or settled):
            candidate.reason = next(r.reason for r in mine if r.state == bad)
            self._release(candidate, state.STOPPED)
            self._close(candidate, bad)
        elif candidate.state == state.OPEN and settled and len(mine) < len(self.sweep.seeds):
            further = [self._replicate(candidate, seed, self.phase) for seed in self.sweep.seeds[len(mine) :]]
            candidate.replicates += further
            self._start(candidate, further)
        elif candidate.state == state.OPEN and settled:
            self._close(candidate, state.COMPLETE)
        self._write(candidate)

    def _close(self, candidate: Candidate, verdict: str) -> None:
        """The candidate is judged. Only a complete one has a value, so that what is shown does not depend on who was faster."""
        complete = [r for r in candidate.of_phase(self.phase) if r.state == state.COMPLETE]
        if self.sweep.objective is not None and verdict == state.COMPLETE:
            mean = sum(judged(self.sweep.objective, r.metrics) for r in complete) / len(complete)
            if math.isfinite(mean):
                candidate.value = mean
            elif self.phase == "search":
                verdict, candidate.reason = state.DIVERGED, f"{self.sweep.objective} came out as {mean}"
        candidate.state = verdict
        candidate.n = len(complete) if verdict == state.COMPLETE or self.phase == "confirm" else 0
        value = "" if candidate.value is None else f", {self.sweep.objective} = {number(candidate.value)} over {candidate.n} seeds"
        reason = f": {candidate.reason.strip().splitlines()[-1]}" if candidate.reason.strip() else ""
        self.emit(Event("candidate", f"candidate {candidate.number} {candidate.label} is {verdict}{value}{reason}", candidate.number))

    def _release(self, candidate: Candidate, verdict: str) -> None:
        """The search wants nothing more of a candidate; replicates that are not through get `verdict`."""
        for replicate in candidate.of_phase(self.phase):
            self.graph.release((candidate.number, replicate.phase, replicate.seed))
            if replicate.state == state.OPEN:
                self._look(replicate)
            if replicate.state == state.OPEN:
                replicate.state, replicate.reason = verdict, candidate.reason

    def monitor_of(self, job: Job) -> Measure | None:
        """The monitor that watches this stage for a pilot, if any."""
        for who in sorted(job.wanted):
            measure = self._monitored(*who)
            if measure is not None and self.graph.identity(measure.of) == job.fingerprint:  # type: ignore[arg-type]
                return measure
        return None

    def _monitored(self, number: int, phase: Phase, seed: int) -> Measure | None:
        if self.sweep.monitor is None or phase != "search" or seed != self.sweep.seeds[0]:
            return None
        candidate = self.candidates[number]
        replicate = next((r for r in candidate.replicates if (r.phase, r.seed) == (phase, seed)), None)
        stage = replicate.stages.get(self.sweep.monitor) if replicate else None
        return stage if isinstance(stage, Measure) else None

    def watch(self, who: Want, job: Job) -> None:
        """Take the monitor's values of a pilot's stage; prune the candidate when its pruner says so."""
        measure = self._monitored(*who) if who != ACROSS else None
        if measure is None or self.graph.identity(measure.of) != job.fingerprint:  # type: ignore[arg-type]
            return
        candidate = self.candidates[who[0]]
        for epoch, metrics in enumerate(job.curve, 1):
            step = round(100 * epoch / job.stage.length)
            if "monitor" not in metrics or step in candidate.intermediate:
                continue
            candidate.intermediate[step] = metrics["monitor"]
            if job.state != HELD and candidate.state == state.OPEN and step < 100 and self._prune(candidate):
                return

    def _prune(self, candidate: Candidate) -> bool:
        arm = candidate.number % len(self.sweep.arm_list)
        history = [told for told in self._history(arm, candidate.index) if told.state != TrialState.RUNNING]
        if not should_prune(self.sweep, history, candidate.told(counts=False)):
            return False
        step = max(candidate.intermediate)
        candidate.state = state.PRUNED
        candidate.reason = f"{self.sweep.monitor} was {number(candidate.intermediate[step])} at {step} % of the schedule"
        self._release(candidate, state.PRUNED)
        self._close(candidate, state.PRUNED)
        self._write(candidate)
        return True

    @property
    def drawn_all(self) -> bool:
        """Every candidate is drawn and judged."""
        complete = len(self.candidates) == self.trials * len(self.sweep.arm_list)
        return complete and all(c.state != state.OPEN for c in self.candidates.values())

    @property
    def finished_all(self) -> bool:
        """Search, confirmation and what compares all replicates are done."""
        confirmed = not self._confirm_wanted or (self.confirming and self._confirm_settled)
        return self.drawn_all and confirmed and self.across_state in ("no", "done")

    @property
    def any_complete(self) -> bool:
        """Whether something came of it: a candidate, or a replicate where nothing is searched."""
        return any(r.state == state.COMPLETE for c in self.candidates.values() for r in c.replicates)

    @property
    def nothing_left(self) -> bool:
        """Whether there is nothing to run: all is finished, and nothing that it rests on was lost since."""
        return self.finished_all and not self.graph.ready(math.inf)

    @property
    def _confirm_wanted(self) -> bool:
        return self.phase == "search" and self.sweep.confirm is not None

    @property
    def _confirm_settled(self) -> bool:
        return all(r.state != state.OPEN for c in self.candidates.values() for r in c.of_phase("confirm"))

    def advance(self) -> None:
        """Go on to confirmation, then to what compares all replicates, when all before it is judged."""
        if not self.drawn_all:
            return
        if self._confirm_wanted and not self.confirming:
            self.confirming = True
            self._confirm()
        if not self._confirm_wanted or self._confirm_settled:
            self._compare()

    def _confirm(self) -> None:
        """Want the best of each arm on fresh seeds."""
        assert self.sweep.confirm is not None
        for candidate in self.best(self.sweep.confirm.top):
            replicates = [self._replicate(candidate, seed, "confirm") for seed in self.sweep.confirm.seeds]
            self.check(replicates[0].stages, "confirm")
            candidate.replicates += replicates
            self.emit(Event("confirm", f"candidate {candidate.number} {candidate.label} goes on to fresh seeds", candidate.number))
            self._start(candidate, replicates)

    def best(self, top: int) -> list[Candidate]:
        """The best complete candidates of each arm, best first, arms in order."""
        sign = -1 if self.sweep.direction == "maximize" else 1
        found = []
        for a in range(len(self.sweep.arm_list)):
            arm = [c for c in self.candidates.values() if c.number % len(self.sweep.arm_list) == a and c.state == state.COMPLETE]
            ranked = sorted(arm, key=lambda c: (sign * (c.value or 0.0), c.number))
            found += ranked[:top]
        return found

    def done(self) -> list[Run]:
        """The complete replicates of the confirm phase in order of arm, candidate, seed."""
        arms = len(self.sweep.arm_list)
        ordered = sorted(self.candidates.values(), key=lambda c: (c.number % arms, c.number))
        return [Run(c.label, c.knobs, r.seed, r.stages) for c in ordered for r in c.of_phase("confirm") if r.state == state.COMPLETE]

    def _compare(self) -> None:
        """Want the `across` stages, then see whether they are settled."""
        if self.across_state == "later" and self.sweep.across is not None:
            self.across = call_across(self.sweep, self.done())
            self.check(self.across, "confirm")
            for stage in self.across.values():
                self.graph.want(stage, ACROSS)
            self.across_state = "wanted"
        if self.across_state == "wanted" and all(map(self._over, self.across.values())):
            self.across_state = "done"

    def _over(self, stage: Stage) -> bool:
        """Whether a stage is held, or never will be."""
        job, *needs = (self.graph.jobs[self.graph.identity(one)] for one in (stage, *all_stages(stage)))
        return job.state == HELD or any(one.state in (DIVERGED, FAILED) for one in (job, *needs))
