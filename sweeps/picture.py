"""A picture that is drawn when somebody asks for its bytes: finished measures of one family, by address.

It is a value, so it can be queued and compared without reading an array; nothing is drawn on the driver's loop.
"""

import io
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace

import numpy as np

from analysis.figures.palette import style
from analysis.measure import Drawn, Measure
from contrast.model import Artefact


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
    """A name for each picture: its segment of the keys; with its unit or its class, too, where that is taken: `pgd-l2`, `robust-PGD`."""
    names: dict[str, Family] = {}
    for family in families:
        unit, kind = "-".join(map(str, family.unit)), family.kind.__name__
        wanted = (family.segment, *([f"{family.segment}-{unit}"] if unit else []), "-".join(filter(None, (family.segment, kind, unit))))
        names[next(name for name in wanted if name not in names and name not in taken)] = family
    return names


def _has_figure(kind: type[Measure]) -> bool:
    return any("figure" in vars(cls) for cls in kind.__mro__[: kind.__mro__.index(Measure)])


def _arrays(source: Artefact) -> dict[str, np.ndarray]:
    return source.arrays() if (source.folder / "arrays.npz").exists() else {}
