"""A table is values with a title, and five ways to read it: terminal, Markdown, CSV, LaTeX, HTML.

Cells hold values, not text, so that the CSV keeps every digit while people read `71.2 ± 1.1 (4)`: the mean, the
half-width of its 95 % t interval and the number of seeds. The decimals are chosen once a column, from what its half-widths
can resolve.
"""

import csv
import io
import math
import statistics
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from analysis.statistics import Interval
from contrast.component import UserError

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Cell = str | int | float | Interval | None
_LATEX = str.maketrans(
    {mark: rf"\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": "$<$", ">": "$>$", "|": "$|$", "±": r"$\pm$", "−": "$-$"}
)
_MARKDOWN = str.maketrans({"|": r"\|", "\n": " ", "<": "&lt;", "*": r"\*", "_": r"\_"})


@dataclass(frozen=True)
class Table:
    """Rows of cells under named columns; every row is as long as `columns`, and `None` is an empty cell.

    `footer` says what a reader needs beside the numbers: n, unit, test. `bold` names cells (row, column) to set in bold.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footer: str = ""
    bold: frozenset[tuple[int, int]] = frozenset()

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise UserError(
                    f"Table.rows[{number}] = {row!r}: must have {len(self.columns)} cells, one a column. Use None for an empty cell."
                )

    @property
    def text(self) -> tuple[tuple[str, ...], ...]:
        """The cells as people read them, row by row."""
        columns = [[row[i] for row in self.rows] for i in range(len(self.columns))]
        places = [decimals(column) for column in columns]
        return tuple(tuple(cell(value, place) for value, place in zip(row, places, strict=True)) for row in self.rows)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers; they are set flush right."""
        columns = [[row[i] for row in self.rows if row[i] is not None] for i in range(len(self.columns))]
        return tuple(bool(column) and not any(isinstance(value, str) for value in column) for column in columns)


def cell(value: Cell, places: int | None = None) -> str:
    """One value as text: `mean ± half (n)`, `mean (1)` without an interval, `places` decimals or four significant digits."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return _number(value, places)
    places = decimals([value]) if places is None else places
    half = "" if value.half is None else f" ± {_number(value.half, places)}"
    return f"{_number(value.mean, places)}{half} ({value.n})"


def decimals(column: list[Cell]) -> int | None:
    """The decimals of a column: such that its median half-width has two significant digits, 0 to 6.

    None without intervals, and where half-widths differ more than 30 times: then every cell chooses its own.
    """
    intervals = [value for value in column if isinstance(value, Interval)]
    if not intervals:
        return None
    halves = [value.half for value in intervals if value.half]
    if halves and max(halves) > 30 * min(halves):
        return None
    if halves:
        return min(6, max(0, 1 - math.floor(math.log10(statistics.median(halves)))))
    largest = max(abs(value.mean) for value in intervals)
    return min(6, max(0, 2 - math.floor(math.log10(largest)))) if largest else 1


def to_rich(table: Table) -> "RichTable":
    """For the terminal; text is shown as it is, without rich's markup."""
    from rich import box  # rich is slow to import, and only terminals need it
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(
        title=Text(table.title), caption=Text(table.footer) if table.footer else None, box=box.SIMPLE_HEAD, title_justify="left"
    )
    shown.caption_justify = "left"
    for name, numeric in zip(table.columns, table.numeric, strict=True):
        shown.add_column(Text(name), justify="right" if numeric else "left")
    for r, row in enumerate(table.text):
        shown.add_row(*(Text(text, style="bold" if (r, c) in table.bold else "") for c, text in enumerate(row)))
    return shown


def to_markdown(table: Table) -> str:
    """A pipe table, with the title above and the footer below."""
    rule = ("---:" if numeric else ":---" for numeric in table.numeric)
    rows = [
        [f"**{text.translate(_MARKDOWN)}**" if (r, c) in table.bold else text.translate(_MARKDOWN) for c, text in enumerate(row)]
        for r, row in enumerate(table.text)
    ]
    head = [name.translate(_MARKDOWN) for name in table.columns]
    lines = [f"**{table.title.translate(_MARKDOWN)}**", "", *(f"| {' | '.join(line)} |" for line in (head, rule, *rows))]
    return "\n".join([*lines, *(["", table.footer.translate(_MARKDOWN)] if table.footer else []), ""])


def to_csv(table: Table) -> str:
    """Every digit; a column of intervals becomes three: the mean, `half` and `n`. Title and footer are left out."""
    spread = [any(isinstance(row[i], Interval) for row in table.rows) for i in range(len(table.columns))]
    names = ([name, f"{name} half", f"{name} n"] if wide else [name] for name, wide in zip(table.columns, spread, strict=True))
    lines = [_line([name for group in names for name in group])]
    lines += [_line([part for value, wide in zip(row, spread, strict=True) for part in _parts(value, wide)]) for row in table.rows]
    return "".join(lines)


def to_latex(table: Table) -> str:
    """A `table` environment with booktabs rules; every character is escaped."""
    align = "".join("r" if numeric else "l" for numeric in table.numeric)
    rows = [
        [rf"\textbf{{{text.translate(_LATEX)}}}" if (r, c) in table.bold else text.translate(_LATEX) for c, text in enumerate(row)]
        for r, row in enumerate(table.text)
    ]
    head = " & ".join(name.translate(_LATEX) for name in table.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{table.title.translate(_LATEX)}}}",
        rf"\begin{{tabular}}{{{align}}}",
        r"\toprule",
    ]
    lines += [rf"{head} \\", r"\midrule", *(rf"{' & '.join(row)} \\" for row in rows), r"\bottomrule", r"\end{tabular}"]
    footer = [rf"\par\smallskip\footnotesize {table.footer.translate(_LATEX)}"] if table.footer else []
    return "\n".join([*lines, *footer, r"\end{table}", ""])


def to_html(table: Table) -> str:
    """A `<table>` with caption, head, body and foot; every character is escaped, numeric cells have the class `number`."""
    kinds = [' class="number"' if numeric else "" for numeric in table.numeric]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(table.columns, kinds, strict=True))
    body = []
    for r, row in enumerate(table.text):
        cells = (f"<strong>{escape(text)}</strong>" if (r, c) in table.bold else escape(text) for c, text in enumerate(row))
        body.append("<tr>" + "".join(f"<td{kind}>{text}</td>" for text, kind in zip(cells, kinds, strict=True)) + "</tr>")
    foot = f'<tfoot><tr><td colspan="{len(table.columns)}">{escape(table.footer)}</td></tr></tfoot>' if table.footer else ""
    return "\n".join(
        [
            f"<table><caption>{escape(table.title)}</caption>",
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *body,
            "</tbody>",
            foot,
            "</table>",
        ]
    )


def _number(value: float, places: int | None) -> str:
    text = f"{value:.4g}" if places is None else f"{value:.{places}f}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def _line(cells: list[str | int | float | None]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)  # with another line end than its own it would leave a carriage return in a text unquoted
    return out.getvalue().removesuffix("\r\n") + "\n"


def _parts(value: Cell, wide: bool) -> list[str | int | float | None]:
    if isinstance(value, Interval):
        return [value.mean, value.half, value.n]
    return [value, None, None] if wide else [value]
