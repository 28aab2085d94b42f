"""Where a replicate stands, read from the store: which of its stages began, what they left, how it ended.

The controller remembers the same while it runs, but in the order in which things happened; what is told to others follows
from the store alone, so that it is the same after a restart.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from contrast.stage import Metrics, Stage
from sweeps import candidate as state
from sweeps.candidate import Candidate, Replicate
from sweeps.graph import Graph
from sweeps.recipe import labels, reached, shortened
from sweeps.store import Record
from sweeps.sweep import named

STOPPED = "stopped"  # given up because another seed of its candidate diverged or failed


class Begun(NamedTuple):
    """A stage that has an attempt; `began` and `ended` (or last saved) in milliseconds since 1970, its curve so far."""

    record: Record | None
    began: int
    ended: int
    curve: list[Metrics]


class Result(NamedTuple):
    """A number that a stage returned, and when the stage first began, in milliseconds since 1970."""

    value: float
    began: int


@dataclass(frozen=True)
class Standing:
    """A replicate as the store has it.

    `names`: of all its stages (`recipe.labels`). `begun`: those that have an attempt, what is needed first. `verdict`: one
    of the states of a candidate, or "stopped"; `reason` in one line. `results`: by metric name, of stages that are done;
    none of a replicate that was stopped or pruned, where they depend on who was faster.
    """

    replicate: Replicate
    names: dict[Stage, str]
    begun: dict[Stage, Begun]
    verdict: str
    reason: str
    results: dict[str, Result]

    @property
    def start(self) -> int:
        """When its first stage began, in milliseconds since 1970."""
        return min(stage.began for stage in self.begun.values())

    @property
    def end(self) -> int:
        """When its last stage ended or last saved, in milliseconds since 1970."""
        return max(stage.ended for stage in self.begun.values())


def standing(candidate: Candidate, replicate: Replicate, graph: Graph) -> Standing:
    """How far a replicate is."""
    begun = begun_stages(replicate.stages.values(), graph)
    done = {stage for stage, one in begun.items() if one.record is not None}
    lost = next((one.record for one in begun.values() if one.record is not None and one.record.outcome == "diverged"), None)
    if lost is not None:
        verdict, reason = state.DIVERGED, lost.reason
    elif replicate.state == state.STOPPED:
        verdict, reason = STOPPED, ""
    elif candidate.state == state.PRUNED:
        verdict, reason = state.PRUNED, candidate.reason
    elif done.issuperset(replicate.stages.values()):
        verdict, reason = state.COMPLETE, ""
    elif replicate.state == state.FAILED and replicate.reason:
        verdict, reason = state.FAILED, replicate.reason
    else:
        verdict, reason = (STOPPED if candidate.state in (state.DIVERGED, state.FAILED) else state.OPEN), ""
    last_line = shortened(reason.strip().rpartition("\n")[2])
    told = {} if verdict in (STOPPED, state.PRUNED) else results(replicate.stages, begun)
    return Standing(replicate, labels(replicate.stages), begun, verdict, last_line, told)


def begun_stages(stages: Iterable[Stage], graph: Graph) -> dict[Stage, Begun]:
    """Those of `stages` and of all nested in them that have an attempt, what is needed first."""
    return {stage: one for stage in reached(stages) if (one := _begun(stage, graph)) is not None}


def results(stages: Mapping[str, Stage], begun: Mapping[Stage, Begun]) -> dict[str, Result]:
    """The results of finished stages by metric name."""
    found: dict[str, Result] = {}
    for key, stage in stages.items():
        one = begun.get(stage)
        if one is not None and one.record is not None and one.record.outcome == "complete":
            found |= {name: Result(value, one.began) for name, value in named(key, one.record.results).items()}
    return found


def _begun(stage: Stage, graph: Graph) -> Begun | None:
    identity = graph.identity(stage)
    span = graph.store.span(stage, identity)
    if span is None:
        return None
    began, saved = (int(seconds * 1000) for seconds in span)
    record = graph.store.held(stage, identity)
    if record is not None:
        return Begun(record, began, int(record.finished * 1000), record.curve)
    reported = graph.jobs[identity].curve if identity in graph.jobs else []
    return Begun(None, began, saved, max(reported, graph.store.curve_so_far(stage, identity), key=len))
