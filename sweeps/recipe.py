"""The stages of a replicate by short names, and what they are made of as flat text.

A space returns results by key; the trainings below them have no name of their own. Here each gets one: `pretrain`, or
where a replicate has several of a class the part of the key that tells them apart, `finetune/0`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import takewhile

from analysis.measure import Measure
from contrast.component import Component
from contrast.stage import Stage, upstream

LONGEST = 500


def reached(stages: Iterable[Stage]) -> list[Stage]:
    """`stages` and all that is nested in them, each once, what is needed before what needs it."""
    found: dict[Stage, None] = {}

    def visit(stage: Stage) -> None:
        if stage not in found:
            for needed in upstream(stage):
                visit(needed)
            found[stage] = None

    for stage in stages:
        visit(stage)
    return list(found)


def labels(stages: Mapping[str, Stage]) -> dict[Stage, str]:
    """A name for every stage of a replicate: a measure's key, or its class with what tells it from others of the class."""
    keys: dict[Stage, list[str]] = {}
    for key, top in stages.items():
        for stage in reached([top]):
            keys.setdefault(stage, []).append(key)
    names: dict[Stage, str] = {}
    for key, top in stages.items():
        if isinstance(top, Measure):
            names.setdefault(top, key)
    families: dict[str, list[Stage]] = {}
    for stage in keys:
        if stage not in names:
            families.setdefault(_snake(type(stage).__name__), []).append(stage)
    for family, members in families.items():
        suffixes = _suffixes([keys[member] for member in members])
        names |= {member: f"{family}/{suffix}".rstrip("/") for member, suffix in zip(members, suffixes, strict=True)}
    return names


def recipe(stages: Mapping[str, Stage]) -> dict[str, str]:
    """Every field that is not off, as text of at most 500 characters: `pretrain.loss.temperature` = `0.1`.

    What all stages of a class share stands once (`finetune.epochs`), the rest under the stage's own name
    (`finetune/0.data.classes`). A measure of the space is one entry under its key.
    """
    names = labels(stages)
    found = {key: text(top, names, {top}) for key, top in stages.items() if isinstance(top, Measure)}
    families: dict[str, dict[str, dict[str, str]]] = {}
    for stage, name in names.items():
        if stage not in stages.values() or not isinstance(stage, Measure):
            families.setdefault(name.partition("/")[0], {})[name] = _flat(stage, "", names)
    for family, members in families.items():
        first, *others = members.values()
        shared = {field: value for field, value in first.items() if all(other.get(field) == value for other in others)}
        found |= {f"{family}.{field}": value for field, value in shared.items()}
        for name, flat in members.items():
            found |= {f"{name}.{field}": value for field, value in flat.items() if field not in shared}
    return {name: shortened(value) for name, value in found.items()}


def text(value: object, names: Mapping[Stage, str], spelled: Iterable[Stage] = ()) -> str:
    """A value as one would write it, without fields that are off; stages by their names, except those to be `spelled`."""
    if isinstance(value, Stage) and value not in spelled and value in names:
        return names[value]
    if isinstance(value, Component):
        return f"{type(value).__name__}({', '.join(f'{name}={text(item, names)}' for name, item in _on(value))})"
    if isinstance(value, tuple):
        return f"({', '.join(text(item, names) for item in value)})"
    return value if isinstance(value, str) else repr(value)


def shortened(line: str) -> str:
    """A text cut to 500 characters."""
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _flat(value: Component, prefix: str, names: Mapping[Stage, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, item in _on(value):
        if isinstance(item, Component) and not isinstance(item, Stage):
            found |= {prefix + name: type(item).__name__, **_flat(item, f"{prefix}{name}.", names)}
        else:
            found[prefix + name] = text(item, names)
    return found


def _on(value: Component) -> list[tuple[str, object]]:
    """The fields that are not off, by name."""
    return [(field.name, item) for field in fields(value) if (item := getattr(value, field.name)) is not None]


def _suffixes(members: Sequence[list[str]]) -> list[str]:
    """For the keys that reach each of several stages, what tells the stages apart; nothing when there is one."""
    if len(members) == 1:
        return [""]
    own = [[key for key in keys if sum(key in other for other in members) == 1] or keys for keys in members]
    found = ["/".join(_shared([key.split("/")[1:] for key in keys])) or keys[0] for keys in own]
    return found if len(set(found)) == len(found) else [str(i) for i in range(len(found))]


def _shared(segments: Sequence[Sequence[str]]) -> list[str]:
    """The segments that all begin with."""
    return [column[0] for column in takewhile(lambda column: len(set(column)) == 1, zip(*segments, strict=False))]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
