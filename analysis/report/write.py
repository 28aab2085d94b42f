"""A page becomes a folder: index.html with its style inside, figures as SVG, PDF and PNG, tables as CSV, LaTeX and Markdown.

Text is escaped by the template, and nothing is fetched from anywhere. The page is written last: while it is not there, or
still the old one, everything it names exists.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis.figures.files import save
from analysis.figures.palette import COLUMN
from analysis.report.page import Page, Picture, Section
from analysis.table import Table, to_csv, to_html, to_latex, to_markdown

_HERE = Path(__file__).parent
_KINDS = {"csv": ("CSV", to_csv), "tex": ("LaTeX", to_latex), "md": ("Markdown", to_markdown)}
Links = list[tuple[str, str]]


@dataclass(frozen=True)
class _Shown:
    """A table (`html`) or a picture (`image`) as the template sees it, with links (name, address) to its files.

    The footer of a table stands under it as `caption`, where it stays in sight when a wide table scrolls.
    """

    number: int
    links: Links
    html: str = ""
    image: str = ""
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class _Part:
    anchor: str
    heading: str
    paragraphs: list[str]
    tables: list[_Shown]
    pictures: list[_Shown]


def render(page: Page, folder: Path) -> Path:
    """Write the page and its files into `folder`, made if needed; the path of index.html. Equal pages give equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = pictures = 0
    parts = []
    for number, section in enumerate(page.sections, start=1):
        parts.append(_part(section, folder, f"section-{number}", tables, pictures))
        tables, pictures = tables + len(section.tables), pictures + len(section.pictures)
    provenance = None if page.provenance is None else _table(page.provenance, tables + 1, folder)
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css = Markup((_HERE / "page.css").read_text(encoding="utf-8"))
    html = environment.get_template("page.html").render(page=page, parts=parts, provenance=provenance, css=css)
    target = folder / "index.html"
    _write(target, html)
    return target


def _part(section: Section, folder: Path, anchor: str, tables: int, pictures: int) -> _Part:
    paragraphs = [paragraph.strip() for paragraph in section.prose.split("\n\n") if paragraph.strip()]
    shown = [_table(table, tables + i, folder) for i, table in enumerate(section.tables, start=1)]
    drawn = [_picture(picture, pictures + i, folder) for i, picture in enumerate(section.pictures, start=1)]
    return _Part(anchor, section.heading, paragraphs, shown, drawn)


def _table(table: Table, number: int, folder: Path) -> _Shown:
    links: Links = []
    for suffix, (name, write) in _KINDS.items():
        path = folder / "tables" / f"table-{number}.{suffix}"
        _write(path, write(table))
        links.append((name, path.relative_to(folder).as_posix()))
    html = Markup(to_html(replace(table, footer="")))  # to_html escapes every text
    return _Shown(number, links, html=html, caption=table.footer)


def _picture(picture: Picture, number: int, folder: Path) -> _Shown:
    paths = save(picture.figure, folder / "figures", picture.stem)
    links = [(kind.upper(), paths[kind].relative_to(folder).as_posix()) for kind in ("pdf", "png")]
    if picture.data is not None:
        path = folder / "figures" / f"{picture.stem}.csv"
        _write(path, to_csv(picture.data))
        links.append(("CSV", path.relative_to(folder).as_posix()))
    wide = bool(picture.figure.get_figwidth() > 1.2 * COLUMN)
    return _Shown(number, links, image=paths["svg"].relative_to(folder).as_posix(), caption=picture.caption, wide=wide)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
