"""A domain that is left out stays unseen: what a launch refuses of a sweep over rotations of one data set (PROTOCOL 7.6).

The target of a rotation is a source of the others, so that whoever has seen another rotation has seen the target.
"""

from collections.abc import Iterator, Mapping

from analysis.measure import Measure
from contrast.component import Component, UserError, nested, walk
from contrast.data.domains import Domains
from contrast.pretrain import Untrained
from contrast.stage import Stage
from sweeps.objective import matches
from sweeps.sweep import Sweep


def refuse_seen_target(key: str, stage: Stage) -> None:
    """Refuse a measure on one rotation of what was trained, or is compared, with another: it has seen the target."""
    for measure in walk(stage):
        on = vars(measure).get("on") if isinstance(measure, Measure) else None
        if not isinstance(on, Component):
            continue
        for scored in _rotations(on):
            for other in _rotations(measure):
                if other.folder == scored.folder and other.target != scored.target:
                    rule = f"is measured on {scored.folder} without {scored.target!r} and has seen it without {other.target!r}"
                    cure = f"which shows {scored.target!r}. Use one target in all stages of a measure."
                    raise UserError(f"{key}: {type(measure).__name__} {rule}, {cure}")


def refuse_shared_choice(sweep: Sweep, stages: Mapping[str, Stage]) -> None:
    """Refuse knobs that are chosen by one rotation and used in another, whose target was a source when they were chosen."""
    used = {(domains.folder, domains.target) for stage in stages.values() for domains in _rotations(stage)}
    for folder in {domains.folder for key in _judging(sweep, stages) for domains in _rotations(stages[key])}:
        if len(targets := sorted(target for home, target in used if home == folder)) > 1:
            rule = f"one choice of knobs for {folder} without {', '.join(targets)} is made on images of every one of them"
            cure = f"Make the rotation an arm, arms={{'target': {targets}}}, so that each is tuned alone."
            raise UserError(f"Sweep {sweep.name!r}: {rule}. {cure}")


def _judging(sweep: Sweep, stages: Mapping[str, Stage]) -> list[str]:
    """The keys by whose results candidates are chosen, constrained or stopped, a further result of theirs included."""
    patterns = [
        *(one.pattern for one in sweep.objectives),
        *(one.key for one in sweep.constraints),
        *([sweep.monitor] if sweep.monitor else []),
    ]
    heads = ("/".join(segments[:n]) for segments in (one.split("/") for one in patterns) for n in range(1, len(segments) + 1))
    return [key for head in heads for key in matches(head, stages)]


def _rotations(value: Component) -> Iterator[Domains]:
    """The rotations inside a value, without those of encoders that were never trained and have looked at no image."""
    if isinstance(value, Domains):
        yield value
    if not isinstance(value, Untrained):
        for part in nested(value):
            yield from _rotations(part)
