"""What a unit of work occupies. It belongs to the launch, never to a sweep: hardware is no part of a question."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from contrast.component import UserError
from contrast.finetune import Finetune
from contrast.pretrain import Pretrain
from contrast.stage import Stage


@dataclass(frozen=True)
class Resources:
    """Processor cores and GPUs of one unit; a fraction of a GPU shares it."""

    cpus: float = 1.0
    gpus: float = 0.0


def cores_only(stage: Stage) -> Resources:
    """One core for every unit: one shape, so that all units share the same warm workers."""
    return Resources()


def with_gpus(stage: Stage) -> Resources:
    """A GPU for pretraining, a quarter of one for everything else."""
    return Resources(1.0, 1.0) if isinstance(stage, Pretrain) else Resources(1.0, 0.25)


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
    found = Resources(float(amounts.get("cpu", 1)), float(amounts.get("gpu", 0)))
    if found.cpus < 1:
        raise UserError(f"--resources = {option!r}: a unit needs at least one core. Write cpu:1 or more.")
    return match.group(1), found
