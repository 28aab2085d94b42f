"""What is decided about a pilot while it trains: its monitor is watched, and the pruner may give the candidate up.

A monitor's values are kept by per cent of the schedule, so that trainings of different lengths compare. They stand in the
curve under the monitor's own name; a stage that was computed without this monitor, by another sweep or for a candidate with
another one, has none, and a pilot that finds it held is not watched. One in twenty of
those that the pruner would stop goes on all the same: the audit, which says what pruning loses. A collapse of the features
ends a pilot whatever the pruner, and a label-free monitor prunes only behind its gate.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.measure import Measure
from contrast.component import Component
from contrast.pretraining import Pretraining
from contrast.stage import Metrics, Stage
from sweeps import candidate as state
from sweeps.candidate import Candidate
from sweeps.event import number
from sweeps.fingerprint import monitored
from sweeps.gate import Gate, family, gate
from sweeps.graph import Job, Want
from sweeps.sweep import Sweep

if TYPE_CHECKING:
    from sweeps.population import Population

AUDIT = 0.05
LEAST = {"rankme": 2.0, "feature_std": 0.05}


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

    def readable(self, job: Job, metrics: Metrics) -> Metrics:
        """An epoch's metrics for reading: the sweep's own monitor under its key, without what other monitors read."""
        measure = self.monitor_of(job)
        own = None if measure is None else monitored(self.graph.identity(measure))
        found = {name: value for name, value in metrics.items() if not name.startswith("monitor/")}
        return found | ({f"monitor/{self.sweep.monitor}": metrics[own]} if own in metrics else {})

    def watch(self, who: Want, job: Job) -> None:
        """Take the monitor's values of a pilot's stage; give the candidate up when it collapsed, or when its pruner says so.

        A curve that was recorded earlier, for another candidate or launch, is decided about step by step as if it were
        just reported: what the store happens to hold changes nothing. The stage stays held.
        """
        measure = self._monitored(who)
        if measure is None or self.graph.identity(measure.of) != job.fingerprint:  # type: ignore[arg-type]
            return
        candidate, name = self.population.candidates[who[0]], monitored(self.graph.identity(measure))
        for epoch, metrics in enumerate(job.curve, 1):
            step = round(100 * epoch / job.stage.length)
            if name not in metrics or step in candidate.intermediate:
                continue
            candidate.intermediate[step] = metrics[name]
            if candidate.state != state.OPEN or candidate.number in self.population.past or step >= 100:
                continue
            reason = collapsed(job.stage, job.curve[:epoch]) or self._pruned(candidate, measure, step)
            if reason:
                self.population.judge.give_up(candidate, state.PRUNED, state.PRUNED, f"{reason} at {step} % of the schedule")
                return

    def _pruned(self, candidate: Candidate, measure: Measure, step: int) -> str:
        """Why the pruner stops a candidate at this step; empty when it goes on, for the audit too."""
        if candidate.audited:
            return ""
        among: Sequence[int] = self.population.seen(candidate.number)
        sign = 1
        if measure.label_free:
            signal = self.gate(candidate, step)
            if not signal.open:
                return ""
            kin = family(measure.of)  # type: ignore[arg-type]
            among, sign = [i for i in among if self._family(candidate, i) == kin], self._sign(signal)
        if not self.population.should_prune(candidate, among, sign):
            return ""
        if audited(self.sweep, candidate.arm, candidate.index):
            self.population.judge.audit(candidate, step)
            return ""
        return f"{self.sweep.monitor} was {number(candidate.intermediate[step])}"

    def gate(self, candidate: Candidate, step: int) -> Gate:
        """Whether a label-free monitor may prune this candidate at this step: what its arm's counted candidates of its family say."""
        kin = self._family(candidate, candidate.index)
        signal, final = [], []
        for i, told in enumerate(self.population.counted(candidate.number)):
            if told.values and step in told.intermediate and self._family(candidate, i) == kin:
                signal.append(told.intermediate[step])
                final.append(told.values[0])
        return gate(signal, final)

    def gates(self) -> list[str]:
        """What may be said of a label-free monitor now: one line an arm and family, at the last step before the end."""
        found: dict[tuple[object, ...], str] = {}
        for candidate in self.population.candidates.values():
            measure = self._monitored((candidate.number, "search", self.sweep.seeds[0]))
            steps = [step for step in candidate.intermediate if step < 100]
            if measure is not None and measure.label_free and steps:
                loss, head = self._family(candidate, candidate.index)
                who = " ".join(filter(None, (candidate.label, loss, str(head) if head is not None else "")))
                found[candidate.label, loss, head] = f"{who}: {self.sweep.monitor} {self.gate(candidate, max(steps))}"
        return list(found.values())

    def _sign(self, signal: Gate) -> int:
        """1 where the signal rises when the objective does, else -1."""
        return 1 if signal.tau > 0 else -1

    def _family(self, candidate: Candidate, index: int) -> tuple[str, Component | None]:
        """The family of candidate `index` of the arm of `candidate`."""
        arms = len(self.population.arms)
        other = self.population.candidates[index * arms + candidate.number % arms]
        measure = self._monitored((other.number, "search", self.sweep.seeds[0]))
        assert measure is not None
        return family(measure.of)  # type: ignore[arg-type]

    def _monitored(self, who: Want) -> Measure | None:
        if self.sweep.monitor is None or who[1:] != ("search", self.sweep.seeds[0]):
            return None
        replicate = self.population.replicate(who)
        stage = replicate.stages.get(self.sweep.monitor) if replicate is not None else None
        return stage if isinstance(stage, Measure) else None


def collapsed(stage: Stage, curve: Sequence[Metrics]) -> str:
    """Why the last two reports say that the features collapsed, or empty (METRICS.md 7); `feature_std` is in 1/sqrt(d).

    Of two classes a good supervised network keeps two directions, so there RankMe says nothing.
    """
    last = [metrics for metrics in curve if "rankme" in metrics][-2:]
    two_classes = isinstance(stage, Pretraining) and stage.data.num_classes == 2
    for name, least in LEAST.items():
        applies = len(last) == 2 and not (two_classes and name == "rankme")
        if applies and all(metrics[name] < least for metrics in last):
            return f"the features collapsed: {name} was {number(last[-1][name])}, the second time below {least:g},"
    return ""


def audited(sweep: Sweep, arm: Mapping[str, object], index: int) -> bool:
    """Whether a candidate that the pruner would stop goes on: one in twenty, drawn for (sampler seed, arm, index)."""
    text = f"audit/{sweep.sampler_seed}/{sorted((k, str(v)) for k, v in arm.items())}/{index}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") < AUDIT * 2**64
