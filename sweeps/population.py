"""The candidates of a sweep, and what is decided about them: drawn, seeded, pruned, judged, confirmed, compared.

Everything follows from the declaration, the candidate files and the store, so a launch that was cut off goes on by running
it again. Whoever reports on a sweep reads this; who runs it is the controller's business.
"""

import math
from collections.abc import Callable, Collection

from contrast.component import UserError
from contrast.data.dataset import Phase
from contrast.stage import Stage
from sweeps import candidate as state
from sweeps.candidate import Candidate, CandidateFiles, Replicate, Saved
from sweeps.event import Event, number
from sweeps.finals import Finals
from sweeps.graph import Graph, Job, Want
from sweeps.judge import Judge
from sweeps.objective import best_first, undominated
from sweeps.pilots import Pilots
from sweeps.race import Race
from sweeps.search import fixed, refuse_other_knobs
from sweeps.store import Store
from sweeps.study import Study, Told
from sweeps.sweep import Sweep, call_space, refuse_idle_monitor
from sweeps.warm_start import NOTE, warm_start

Check = Callable[[dict[str, Stage], Phase], None]


class Population:
    """All candidates of one sweep and the graph of what they want. `check(stages, phase)` raises `UserError` for stages that cannot run.

    `writes`: whether files may be written yet, which is when all candidates of earlier launches are taken up again.
    """

    def __init__(
        self, sweep: Sweep, store: Store, files: CandidateFiles, *, searching: bool, check: Check, emit: Callable[[Event], None]
    ) -> None:
        self.sweep, self.store, self.files = sweep, store, files
        self.phase: Phase = "search" if searching else "confirm"
        self.check, self.emit = check, emit
        self.graph = Graph(store)
        self.candidates: dict[int, Candidate] = {}
        self._before: dict[int, Saved] = {}
        self.past: set[int] = set()  # candidates that an earlier launch judged and did not prune
        self.writes = False
        self.arms = sweep.arm_list
        self.pilots, self.race, self.judge, self.finals = Pilots(self), Race(self), Judge(self), Finals(self)
        arms = len(self.arms)
        self._drawn, self._judged = [0] * arms, [0] * arms  # of each arm, how many of its first candidates are
        self._counting: list[list[Told]] = [[] for _ in self.arms]  # of each arm, what is told of those judged
        self.warm = warm_start(sweep, files.folder.parent)
        self.studies = [Study(sweep, arm, self.phase, self.warm.of(sweep, label, arm)) for label, arm in self.arms]
        for at, saved in sorted(files.read().items()):
            # A draw rests on those before it: behind a missing file candidates are drawn again, beyond fewer trials not at all.
            if at // arms < self.studies[at % arms].planned and (at < arms or at - arms in self.candidates):
                self._readopt(saved)
        self.advance()
        # Only now: a launch that is refused, or killed here, leaves the files as they were.
        self.writes = True
        if self.warm.name is not None:
            files.note(NOTE, self.warm.noted)
        for candidate in self.candidates.values():
            self.write(candidate)
        self.finals.write()

    def write(self, candidate: Candidate) -> None:
        """Write a candidate's file, once files may be written."""
        if self.writes:
            self.files.write(candidate)

    @property
    def first_seeds(self) -> tuple[int, ...]:
        """The seeds a candidate begins with: its pilots in a search, all where nothing is searched or one objective is not all."""
        return self.sweep.seeds[: self.sweep.pilot] if self.phase == "search" and not self.sweep.several else self.sweep.seeds

    def _seeds(self, phase: Phase) -> tuple[int, ...]:
        """The seeds that the declaration has in a phase."""
        if phase == self.phase:
            return self.sweep.seeds
        return self.sweep.confirm.seeds if phase == "confirm" and self.sweep.confirm is not None else ()

    def draw_one(self) -> bool:
        """Draw one more candidate, of the arm that has fewest; False when none may be drawn now."""
        drawn = [self.drawn(a) for a in range(len(self.arms))]
        for a in sorted(range(len(self.arms)), key=lambda a: drawn[a]):
            index = drawn[a]
            # The results that a candidate may see must all be there.
            if index < self.studies[a].planned and (self.phase == "confirm" or self.judged(a) > index - self.sweep.window):
                label, arm = self.arms[a]
                number = index * len(self.arms) + a
                point = self._told(a, index).draw(index)
                self._open(Candidate(number, index, label, arm, point.knobs, point.distributions, kept=point.kept), point.stages)
                return True
        return False

    def drawn(self, arm: int) -> int:
        """How many candidates of an arm are drawn."""
        while self._drawn[arm] * len(self.arms) + arm in self.candidates:
            self._drawn[arm] += 1
        return self._drawn[arm]

    def judged(self, arm: int) -> int:
        """How many candidates of an arm, from its first on without a gap, are judged."""
        while (c := self.candidates.get(self._judged[arm] * len(self.arms) + arm)) is not None and c.state != state.OPEN:
            self._judged[arm] += 1
        return self._judged[arm]

    def should_prune(self, candidate: Candidate, among: Collection[int], sign: int = 1) -> bool:
        """Whether the pruner stops a pilot, seeing those candidates of its arm whose index is in `among` (see `Study`)."""
        study = self._told(candidate.number % len(self.arms), candidate.index)
        verdict = study.should_prune(candidate.index, candidate.intermediate, among, sign)
        candidate.kept = candidate.kept | {"trial": study.noted(candidate.index)}
        return verdict

    def seen(self, number: int) -> range:
        """The indices of those candidates whose results candidate `number` of the arm may see, which the pruner sees too."""
        index, arm = divmod(number, len(self.arms))
        return range(max(0, min(index - self.sweep.window + 1, self.judged(arm))))

    def _told(self, arm: int, index: int) -> Study:
        """The study of an arm, told what candidate `index` may see."""
        study = self.studies[arm]
        for i in range(study.told, min(index - self.sweep.window + 1, self.judged(arm))):
            study.tell(i, self._of(arm, i).told())
        return study

    def counted(self, number: int) -> list[Told]:
        """What is told of those that candidate `number` of the arm may see."""
        arm, until = number % len(self.arms), len(self.seen(number))
        counting = self._counting[arm]
        counting += (self._of(arm, i).told() for i in range(len(counting), until))
        return counting[:until]

    def _of(self, arm: int, index: int) -> Candidate:
        return self.candidates[index * len(self.arms) + arm]

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
        refuse_other_knobs(self.sweep, saved.number, index, saved.knobs)
        try:
            stages = call_space(self.sweep, point, self.sweep.seeds[0], self.phase, arm)
        except UserError as error:
            cure = "Give the changed sweep another name (finished stages are shared all the same), or undo the change."
            raise UserError(f"sweep {self.sweep.name!r}: candidate {saved.number} cannot be taken up again. {error} {cure}") from error
        candidate = Candidate(saved.number, index, label, arm, dict(point.params), dict(point.distributions), audited=saved.audited)
        candidate.kept = saved.kept
        self.studies[a].adopt(index, candidate.knobs, candidate.distributions, saved.kept)
        self.candidates[candidate.number], self._before[candidate.number] = candidate, saved
        if saved.state in (state.COMPLETE, state.DIVERGED):
            self.past.add(saved.number)
        given = self._given(saved)
        if saved.raced and len(given) == saved.n:
            candidate.raced, candidate.reason = True, saved.reason
        for seed in given:
            candidate.replicates.append(self._replicate(candidate, seed, self.phase, stages if seed == self.sweep.seeds[0] else None))
        self.check(stages, self.phase)
        for at in saved.replicates:  # those that are wanted later only, too: nothing may run when one of them has changed
            if at["seed"] in self._seeds(at["phase"]):
                self._replicate(candidate, at["seed"], at["phase"])
        if saved.state == state.PRUNED:
            candidate.state, candidate.reason = state.PRUNED, saved.reason
            candidate.intermediate = {int(step): value for step, value in saved.intermediate.items()}
            for replicate in candidate.replicates:
                replicate.state, replicate.needs = state.PRUNED, saved.needs(replicate.seed, replicate.phase)
        else:
            self._start(candidate, candidate.replicates)

    def _given(self, saved: Saved) -> tuple[int, ...]:
        """The seeds that a candidate was given in an earlier launch, as far as they are the declaration's first; its pilots at least."""
        had = {at["seed"] for at in saved.replicates if at["phase"] == self.phase}
        missing = (i for i, seed in enumerate(self.sweep.seeds) if seed not in had)
        return self.sweep.seeds[: max(len(self.first_seeds), next(missing, len(self.sweep.seeds)))]

    def add_seeds(self, candidate: Candidate, seeds: tuple[int, ...], phase: Phase) -> None:
        """Give a candidate further seeds of a phase, and want what they need."""
        replicates = [self._replicate(candidate, seed, phase) for seed in seeds]
        if phase != self.phase:
            self.check(replicates[0].stages, phase)
        candidate.replicates += replicates
        self._start(candidate, replicates)

    def replicate(self, who: Want) -> Replicate | None:
        """The replicate that wants something, None for what compares all of them."""
        number, phase, seed = who
        candidate = self.candidates.get(number)
        return next((r for r in candidate.replicates if (r.phase, r.seed) == (phase, seed)), None) if candidate is not None else None

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
            replicate.needs = {job.fingerprint: job.needs for job in self.closure(replicate)}
        for replicate in replicates:  # only now: who is given up wants nothing of any seed
            for job in self.closure(replicate):
                self.pilots.watch((candidate.number, replicate.phase, replicate.seed), job)
        self.write(candidate)
        for replicate in replicates:
            self.judge.settled((candidate.number, replicate.phase, replicate.seed))

    def closure(self, replicate: Replicate) -> list[Job]:
        """The jobs of a replicate: what it returns and all that is nested in it."""
        tops = [self.graph.job(stage) for stage in replicate.stages.values()]  # of a candidate that was pruned earlier they may be new
        return list(dict.fromkeys(job for top in tops for job in self.graph.below(top)))

    def want_ahead(self, candidate: Candidate, seed: int) -> None:
        """Want what a seed needs that the candidate was not given."""
        for stage in self._replicate(candidate, seed, self.phase).stages.values():
            self.graph.want(stage, (candidate.number, self.phase, seed))

    def open_ones(self) -> list[Candidate]:
        """The candidates that are not judged, in order of number."""
        arms = len(self.arms)
        reached = [i * arms + a for a in range(arms) for i in range(self.judged(a), self.drawn(a))]
        return [self.candidates[i] for i in sorted(reached) if self.candidates[i].state == state.OPEN]

    @property
    def drawn_all(self) -> bool:
        """Every candidate is drawn and judged."""
        return all(self.judged(a) >= study.planned for a, study in enumerate(self.studies))

    @property
    def finished_all(self) -> bool:
        """Search, confirmation and what compares all replicates are done."""
        return self.drawn_all and self.finals.finished

    @property
    def any_complete(self) -> bool:
        """Whether something came of it: a candidate, or a replicate where nothing is searched."""
        return any(r.state == state.COMPLETE for c in self.candidates.values() for r in c.replicates)

    @property
    def nothing_left(self) -> bool:
        """Whether there is nothing to run: all is finished, and nothing that it rests on was lost since."""
        return self.finished_all and not self.graph.ready(math.inf)

    def advance(self) -> None:
        """Go on to confirmation, then to what compares all replicates, when all before it is judged."""
        if self.drawn_all:
            self.finals.advance()

    def best(self, top: int) -> list[Candidate]:
        """The best complete candidates of each arm, best first, arms in order; by front and crowding with several objectives."""
        return [one for mine in self._by_arm() for one in best_first(mine, self.sweep.objectives)[:top]]

    def leading(self) -> list[Candidate]:
        """Of each arm the best complete candidate, or with several objectives all that none dominates; arms in order."""
        if not self.sweep.several:
            return self.best(1)
        return [one for mine in self._by_arm() for one in undominated(mine, self.sweep.objectives)]

    def _by_arm(self) -> list[list[Candidate]]:
        arms = len(self.arms)
        return [[c for c in self.candidates.values() if c.number % arms == a] for a in range(arms)]
