"""VLCS: 10,729 photographs of five classes from four data sets: VOC, LabelMe, Caltech, SUN (Fang et al., 2013)."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.data.domains import Domains


@dataclass(frozen=True, kw_only=True)
class VLCS(Domains):
    """VLCS in `<root>/VLCS/<domain>/<class>/*`, as DomainBed lays it out, `target` left out.

    Domains: Caltech101, LabelMe, SUN09, VOC2007; classes: bird, car, chair, dog, person. See `Domains`.
    """

    folder: ClassVar[str] = "VLCS"
    domain_names: ClassVar[tuple[str, ...]] = ("Caltech101", "LabelMe", "SUN09", "VOC2007")
    class_count: ClassVar[int] = 5
