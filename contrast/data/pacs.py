"""PACS: 9,991 colour images of seven classes in four domains: art, cartoon, photo, sketch (Li et al., 2017)."""

from dataclasses import dataclass
from typing import ClassVar

from contrast.data.domains import Domains


@dataclass(frozen=True, kw_only=True)
class PACS(Domains):
    """PACS in `<root>/PACS/<domain>/<class>/*`, as DomainBed lays it out (its archive's folder `kfold`), `target` left out.

    Domains: art_painting, cartoon, photo, sketch; classes: dog, elephant, giraffe, guitar, horse, house, person. See `Domains`.
    """

    folder: ClassVar[str] = "PACS"
    domain_names: ClassVar[tuple[str, ...]] = ("art_painting", "cartoon", "photo", "sketch")
    class_count: ClassVar[int] = 7
