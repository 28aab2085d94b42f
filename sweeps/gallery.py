"""The gallery: every figure of every sweep below a root on one page, drawn from kept arrays without a network."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from analysis.report import Page, Section, render
from contrast.component import UserError
from sweeps.report import pictures
from sweeps.results import adopted
from sweeps.sweep import Sweep


def write_gallery(sweeps: Sequence[Sweep], root: Path) -> Path:
    """Write `reports/gallery/index.html`, a section for each sweep with its figures, and their numbers as CSV; returns its path."""
    sections = [section for sweep in sweeps if (section := _section(sweep, root)).pictures]
    if not sections:
        raise UserError(f"--root = {str(root)!r}: has no finished measure that has a figure. Run a sweep there first.")
    page = Page("Gallery", "Every figure of the sweeps below this root, drawn from what their measures kept.", tuple(sections))
    return render(page, root / "reports" / "gallery")


def _section(sweep: Sweep, root: Path) -> Section:
    found = [replace(picture, name=f"{sweep.name}-{picture.stem}") for picture in pictures(adopted(sweep, root))]
    return Section(sweep.name, sweep.question.partition("\n")[0], pictures=tuple(found))
