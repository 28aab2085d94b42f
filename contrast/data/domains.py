"""The same classes in several domains, one of them left out: trained and selected on the others, tested on all of it (PROTOCOL 7.6).

The training split holds the images of the source domains and reads no file of the target; the test split holds the target's. The
held-out cut, `per_class` and `fraction` are taken in each class of each domain, so that every part has all domains in proportion.
"""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from contrast.component import MOST_PIXELS, UserError, require, require_count
from contrast.data.cache_folder import cache_folder
from contrast.data.class_folders import class_folder_files
from contrast.data.dataset import Dataset, Images
from contrast.data.listed import Pairs, found_listed
from contrast.data.scaled import IMAGENET_MEAN, IMAGENET_STD, SUFFIXES
from contrast.data.select import EVERY, select
from contrast.data.source import Found, Split

Several = TypeVar("Several", bound="Domains")


@dataclass(frozen=True, kw_only=True)
class Domains(Dataset, ABC):
    """Colour images in `<root>/<folder>/<domain>/<class>/*` with the domain `target` left out. Subclasses say folder and domains.

    `whole`, `fit` and `held_out("search")` are of the other domains, the sources; `held_out("confirm")` is all of `target`. Class ids
    are the places of the class folders in order of name, or of number. Images of any size, grey ones too, are scaled to `side` pixels
    (8 to 4096) as those of `ImageFolder`. The normalisation is ImageNet's, whatever the images. `classes`: as in `Dataset`;
    `per_class` and `fraction` count in each class of each domain.
    """

    target: str
    side: int = 224

    mean: ClassVar[tuple[float, ...]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, ...]] = IMAGENET_STD

    @property
    @abstractmethod
    def folder(self) -> str:
        """The folder of the domains below the data root."""

    @property
    @abstractmethod
    def domain_names(self) -> tuple[str, ...]:
        """The names of the domains, which are those of their folders."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.target in self.domain_names,
            self,
            "target",
            f"must be one of {', '.join(self.domain_names)}",
            "Name the domain to leave out.",
        )
        require_count(self, "side", MOST_PIXELS, "Use 224, or 32 to 96 for small encoders.", least=8)

    @property
    def name(self) -> str:
        """Folder, target and size."""
        return f"{self.folder.strip('/').replace('/', '-')}-without-{self.target}-{self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Three channels, `side` x `side`."""
        return 3, self.side, self.side

    @property
    def sources(self) -> tuple[str, ...]:
        """The domains that are trained on."""
        return tuple(domain for domain in self.domain_names if domain != self.target)

    def load(self, root: Path | None) -> Images:
        """The selected images; see `Dataset.load`."""
        return _load(self, root, cache_folder())


def leave_one_out(kind: type[Several], **fields: Any) -> dict[str, Several]:  # noqa: ANN401 (whatever fields `kind` has)
    """Every rotation: for each domain of `kind`, its value with that domain as the target; `fields` are the others, the same in all.

    The mean over the rotations, which is what is reported (Avg), counts each domain once, however many images it has. Nothing may be
    chosen by it: a target is a source of the other rotations, so each is tuned alone. Raises `UserError` where neither `kind` nor the
    fields name the domains.
    """
    domains = fields.get("domains", vars(kind).get("domain_names"))
    if not isinstance(domains, tuple) or "target" in fields:
        rule = "takes the domains, as a tuple where the class has none of its own, and no target"
        raise UserError(f"leave_one_out({kind.__name__}): {rule}. Each domain becomes the target in turn.")
    return {domain: kind(target=domain, **fields) for domain in domains}


@dataclass(frozen=True, kw_only=True)
class _Cells(Dataset):
    """What is decoded: each class of each domain is a class of its own, class by class and domain by domain."""

    of: Domains

    @property
    def name(self) -> str:
        return self.of.name

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.of.shape

    @property
    def mean(self) -> tuple[float, ...]:
        return self.of.mean

    @property
    def std(self) -> tuple[float, ...]:
        return self.of.std

    @property
    def class_count(self) -> int:
        return self.of.class_count * len(self.of.domain_names)

    def load(self, root: Path | None) -> Images:
        return select(self, root, _find)


@lru_cache(maxsize=32)
def _load(dataset: Domains, root: Path | None, _cache: Path) -> Images:
    """The cells that the value names, as images of its classes."""
    shown = (dataset.target,) if dataset.part == "test" else dataset.sources
    places = [dataset.domain_names.index(domain) for domain in shown]
    wanted = dataset.classes if dataset.classes is not None else range(dataset.class_count)
    cells = tuple(class_id * len(dataset.domain_names) + place for class_id in wanted for place in places)
    of, amount = replace(dataset, classes=None), dataset.per_class
    images = _Cells(of=of, classes=cells, per_class=amount, part=dataset.part, fraction=dataset.fraction).load(root)
    labels = images.labels // len(places)
    labels.flags.writeable = False
    return images._replace(labels=labels)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, _Cells)
    of = dataset.of
    if root is None or not root.is_dir():
        given = "is not set" if root is None else f"= {str(root)!r}"
        raise UserError(f"data {given}: must be the folder that holds {of.folder}/. Set CONTRAST_DATA or --data to it.")
    names = _class_names(root / of.folder, of)
    pairs: Pairs = []
    for domain in (of.target,) if split == "test" else of.sources:
        for file in class_folder_files(root / of.folder / domain, SUFFIXES):
            pairs.append((file, names.index(file.parent.name) * len(of.domain_names) + of.domain_names.index(domain)))
    if dataset.part == "held_out":
        _require_held_out(dataset, names, [cell for _, cell in pairs])
    return found_listed(pairs, of.side)


def _class_names(home: Path, of: Domains) -> list[str]:
    """The class folders of the domains in order, which must be as many as stated and the same in all."""
    held = {domain: {file.parent.name for file in class_folder_files(home / domain, SUFFIXES)} for domain in of.domain_names}
    if empty := [domain for domain, names in held.items() if not names]:
        there = sorted(part.name for part in home.iterdir() if part.is_dir()) if home.is_dir() else []
        rule = f"must hold the folders <domain>/<class>/* of {', '.join(of.domain_names)}, and has no images of {', '.join(empty)}"
        raise UserError(f"{home}: {rule}; its folders are {', '.join(there) or 'none'}. Put them there, or name the domains otherwise.")
    first = of.domain_names[0]
    for domain, names in held.items():
        if names != held[first]:
            lacking, more = sorted(held[first] - names), sorted(names - held[first])
            what = " and ".join([*([f"lacks {', '.join(lacking)}"] if lacking else []), *([f"has {', '.join(more)}"] if more else [])])
            rule = f"must have the same classes in every domain, and compared with {first}, {domain} {what}"
            raise UserError(f"{home}: {rule}. Name the class folders alike, or complete them.")
    if len(held[first]) != of.class_count:
        rule = f"has {len(held[first])} classes ({', '.join(sorted(held[first]))}), must have {of.class_count}"
        raise UserError(f"{home / first}: {rule}. Complete the folders, or state the right number.")
    numbers = all(name.isdecimal() for name in held[first])
    return sorted(held[first], key=lambda name: (int(name), name) if numbers else (0, name))


def _require_held_out(dataset: _Cells, names: list[str], cells: list[int]) -> None:
    """Every class of every source must have an image to hold out, which is one of ten."""
    counts, domains = Counter(cells), dataset.of.domain_names
    for cell in dataset.classes or ():
        count = min(counts[cell], dataset.per_class or counts[cell])
        if count < EVERY:
            where = f"class {names[cell // len(domains)]} of {domains[cell % len(domains)]}"
            rule = f"{where} has {count} images, and one of {EVERY} is held out"
            raise UserError(f"{type(dataset.of).__name__} of {dataset.of.folder}: {rule}. Use at least {EVERY} images a class and domain.")
