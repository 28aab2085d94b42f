"""A picture that is drawn when somebody asks for its bytes: finished measures of one family, by address.

It is a value, so it can be queued and compared without reading an array; nothing is drawn on the driver's loop.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from analysis.measure import Drawn, Measure
from contrast.model import Artefact


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
        figure.savefig(out, format="png", dpi=200, metadata={"Software": None})
        return out.getvalue()


def pictures(found: Iterable[tuple[str, Drawn, Artefact]]) -> dict[str, Picture]:
    """One picture for each family of keys whose measures have a figure, by file name; `found` goes by key.

    A measure whose main result is not finite is in no picture.
    """
    groups: dict[tuple[str, type[Measure]], list[tuple[Drawn, Artefact]]] = {}
    for key, one, source in found:
        kind = type(one.measure)
        if _has_figure(kind) and one.finite:
            groups.setdefault((key.partition("/")[0], kind), []).append((one, source))
    shown: dict[str, Picture] = {}
    for (family, kind), group in groups.items():
        name = f"figures/{family}.png" if f"figures/{family}.png" not in shown else f"figures/{family}-{kind.__name__}.png"
        shown[name] = Picture(kind, tuple(one for one, _ in group), tuple(source for _, source in group))
    return shown


def _has_figure(kind: type[Measure]) -> bool:
    return any("figure" in vars(cls) for cls in kind.__mro__[: kind.__mro__.index(Measure)])


def _arrays(source: Artefact) -> dict[str, np.ndarray]:
    return source.arrays() if (source.folder / "arrays.npz").exists() else {}
