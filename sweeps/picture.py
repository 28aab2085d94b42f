"""A picture that is drawn when somebody asks for its bytes: finished measures of one family, by address.

It is a value, so it can be queued and compared without reading an array; nothing is drawn on the driver's loop.
"""

import io
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from itertools import chain, count

import numpy as np

from analysis.figures.palette import style
from analysis.measure import Drawn, Measure
from contrast.model import Artefact

_FEW = 3


@dataclass(frozen=True)
class Family:
    """Measures of one picture: what is before the first / of their keys, their class, and in what they count."""

    segment: str
    kind: type[Measure]
    unit: tuple[object, ...]

    @classmethod
    def of(cls, key: str, measure: Measure) -> "Family":
        """The family of a measure under a key."""
        return cls(key.partition("/")[0], type(measure), tuple(getattr(measure, field) for field in measure.unit))


@dataclass(frozen=True)
class Picture:
    """What `type(measure).figure` makes of some measures: as many `drawn` without their arrays as `sources` to read them from."""

    kind: type[Measure]
    drawn: tuple[Drawn, ...]
    sources: tuple[Artefact, ...]

    def png(self) -> bytes | None:
        """The picture as PNG, equal bytes for equal values; None when there is nothing to draw."""
        found = [replace(one, arrays=_arrays(source)) for one, source in zip(self.drawn, self.sources, strict=True)]
        figure = self.kind.figure(found)
        if figure is None:
            return None
        out = io.BytesIO()
        with style():
            figure.savefig(out, format="png", metadata={"Software": None})
        return out.getvalue()


def pictures(found: Iterable[tuple[str, Drawn, Artefact]]) -> dict[str, Picture]:
    """One picture for each family of keys whose measures have a figure, by file name; `found` goes by key.

    A measure whose main result is not finite is in no picture.
    """
    groups: dict[Family, list[tuple[Drawn, Artefact]]] = {}
    for key, one, source in found:
        if _has_figure(type(one.measure)) and one.finite:
            groups.setdefault(Family.of(key, one.measure), []).append((one, source))
    shown: dict[str, Picture] = {}
    for name, family in named(groups).items():
        group = groups[family]
        shown[f"figures/{name}.png"] = Picture(family.kind, tuple(one for one, _ in group), tuple(source for _, source in group))
    return shown


def named(families: Iterable[Family], taken: Set[str] = frozenset()) -> dict[str, Family]:
    """A name for each picture: its segment of the keys; with its unit or its class, too, where that is taken: `pgd-l2`, `robust-PGD`.

    Of a unit of several fields it says what differs from the first picture of the class; a number, where that is taken as well.
    """
    names: dict[str, Family] = {}
    for family in families:
        segment, unit, kind = family.segment, _differing(family, names.values()), family.kind.__name__
        wanted = [segment, *([f"{segment}-{unit}"] if unit else []), "-".join(filter(None, (segment, kind, unit)))]
        numbered = (f"{wanted[-1]}-{i}" for i in count(2))
        names[next(name for name in chain(wanted, numbered) if name not in names and name not in taken)] = family
    return names


def _differing(family: Family, others: Iterable[Family]) -> str:
    """In what a family counts, in words: what differs from the first of its kind, or its unit without long tuples."""
    first = next((other for other in others if (other.segment, other.kind) == (family.segment, family.kind)), None)
    if first is None:
        return "-".join(str(value) for value in family.unit if not isinstance(value, tuple))
    return "-".join(_in_words(value) for value, usual in zip(family.unit, first.unit, strict=True) if value != usual)


def _in_words(value: object) -> str:
    """A value for a name: of a tuple of more than three values the first, and how many more there are."""
    if not isinstance(value, tuple):
        return str(value)
    return "-".join(map(str, value if len(value) <= _FEW else (value[0], "and", len(value) - 1, "more")))


def _has_figure(kind: type[Measure]) -> bool:
    return any("figure" in vars(cls) for cls in kind.__mro__[: kind.__mro__.index(Measure)])


def _arrays(source: Artefact) -> dict[str, np.ndarray]:
    return source.arrays() if (source.folder / "arrays.npz").exists() else {}
