"""What a report says, as a value: a question, sections of prose, tables and pictures, and where the numbers come from."""

import re
from dataclasses import dataclass

from matplotlib.figure import Figure

from analysis.table import Table
from contrast.component import require


@dataclass(frozen=True)
class Picture:
    """A figure with its caption; `name` names its files, `data` are its numbers, written as CSV beside it."""

    name: str
    figure: Figure
    caption: str
    data: Table | None = None

    def __post_init__(self) -> None:
        require(bool(self.stem), self, "name", "must have a letter or digit", "Name it like 'fgsm' or 'inpca-0'.")

    @property
    def stem(self) -> str:
        """The name as part of a file's: every run of other signs than letters, digits, - and _ becomes one -."""
        return re.sub(r"[^A-Za-z0-9_-]+", "-", self.name).strip("-")


@dataclass(frozen=True)
class Section:
    """A heading, prose (paragraphs parted by blank lines), then tables, then pictures."""

    heading: str
    prose: str = ""
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Page:
    """A report: what was asked, what was found, and `provenance`: versions, seeds, data, hours, address of the runs."""

    title: str
    question: str
    sections: tuple[Section, ...]
    provenance: Table | None = None

    def __post_init__(self) -> None:
        names = [picture.stem for section in self.sections for picture in section.pictures]
        twice = sorted({name for name in names if names.count(name) > 1})
        require(
            not twice, self, "sections", f"must name each picture otherwise, and has twice: {twice}", "Give each picture a name of its own."
        )
