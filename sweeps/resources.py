"""What a unit of work occupies. It belongs to the launch, never to a sweep: hardware is no part of a question."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from contrast.component import UserError, require, require_types
from contrast.finetune import Finetune
from contrast.pretrain import Pretrain
from contrast.pretraining import Pretraining
from contrast.segment import Segment
from contrast.stage import Stage
from sweeps.calling import call


@dataclass(frozen=True)
class Resources:
    """Processor cores (at least 1) and GPUs of one unit; a fraction of a GPU shares it, more than one are whole ones."""

    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        require_types(self)
        require(1 <= self.cpus < math.inf, self, "cpus", "must be at least 1: a unit needs at least one core", "Write cpu:1 or more.")
        require(0 <= self.gpus < math.inf, self, "gpus", "must be 0 or above", "Write gpu:0 for none.")
        whole = self.gpus <= 1 or self.gpus == int(self.gpus)
        require(whole, self, "gpus", "must be at most 1, or a whole number", "Only one GPU can be shared; write gpu:0.5, gpu:1 or gpu:2.")

    def __str__(self) -> str:
        return f"cpu:{self.cpus:g} gpu:{self.gpus:g}"


def cores_only(stage: Stage) -> Resources:
    """One core for every unit: one shape, so that all units share the same warm workers."""
    return Resources()


def with_gpus(stage: Stage) -> Resources:
    """A GPU for pretraining and segmentation, a quarter of one for everything else."""
    return Resources(1.0, 1.0) if isinstance(stage, Pretraining | Segment) else Resources(1.0, 0.25)


def declared(function: Callable[[Stage], Resources]) -> Callable[[Stage], Resources]:
    """A user's function of a stage, asked once a stage; what it raises, and what is no `Resources`, is a `UserError`."""

    @cache
    def resources(stage: Stage) -> Resources:
        found = call("resources", "resources(stage)", function, stage)
        if not isinstance(found, Resources):
            name = type(stage).__name__
            raise UserError(f"resources({name}(...)) = {found!r}: must be a Resources. Return for example Resources(cpus=8, gpus=1).")
        return found

    return resources


def parsed(options: list[str], default: Callable[[Stage], Resources]) -> Callable[[Stage], Resources]:
    """`--resources Pretrain=gpu:1,cpu:8` as a function; classes that no option names keep the default."""
    named = dict(_parse(option) for option in options)

    def resources(stage: Stage) -> Resources:
        return named.get(type(stage).__name__) or default(stage)

    return resources


def _parse(option: str) -> tuple[str, Resources]:
    match = re.fullmatch(r"(\w+)=((?:gpu|cpu):\d+(?:\.\d+)?)(?:,((?:gpu|cpu):\d+(?:\.\d+)?))?", option)
    if match is None:
        cure = f"Write for example {Pretrain.__name__}=gpu:1,cpu:8 or {Finetune.__name__}=cpu:2."
        raise UserError(f"--resources = {option!r}: must read Class=gpu:N,cpu:N. {cure}")
    amounts = dict(part.split(":") for part in match.groups()[1:] if part)
    if match.group(3) is not None and len(amounts) < 2:
        raise UserError(f"--resources = {option!r}: names one kind twice. Write each of cpu and gpu once.")
    try:
        return match.group(1), Resources(float(amounts.get("cpu", 1)), float(amounts.get("gpu", 0)))
    except UserError as error:
        raise UserError(f"--resources = {option!r}: {error}") from None
