"""Tables: every rendering is read back by a reader of its format, and says the same cells; CSV keeps every digit."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from analysis.statistics import Interval, interval
from analysis.table import Table, cell, decimals, to_csv, to_html, to_latex, to_markdown, to_rich
from contrast.component import UserError

TABLE = Table(
    "Accuracy (%) & <more>",
    ("method", "task_0", "lr", "n"),
    (
        ("SimCLR|x", Interval(71.23, 1.12, 4, 0.7), 0.0501234567, 3),
        ("sup*con", Interval(-70.1, 2.24, 4, 1.4), 1e-5, 4),
        ("one {seed}", Interval(66.66, None, 1, None), None, 1),
    ),
    "mean ± 95 % t half-width (n); p < 0.05",
    frozenset({(0, 1)}),
)


class Cells(HTMLParser):
    """The rows of a table as lists of text; fails on a tag that is closed out of turn."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.open, self.bold = [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        if "strong" in self.open:
            self.bold.append(data)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Interval(71.234, 1.16, 4, 0.7), "71.2 ± 1.2 (4)"),
        (Interval(0.4012, 0.0123, 5, 0.01), "0.401 ± 0.012 (5)"),
        (Interval(712.3, 112.0, 3, 40.0), "712 ± 112 (3)"),
        (Interval(-4.35, 0.87, 4, None), "−4.35 ± 0.87 (4)"),
        (Interval(70.0, 0.0, 4, 0.0), "70.0 ± 0.0 (4)"),
        (interval([66.66]), "66.7 (1)"),
        (0.050123, "0.05012"),
        (True, "True"),
        (256, "256"),
        (None, ""),
        ("0.07", "0.07"),
    ],
)
def test_a_cell_reads_mean_half_width_and_n(value, text):
    assert cell(value) == text


def test_a_column_has_one_number_of_decimals_unless_its_widths_have_nothing_in_common():
    assert [row[1] for row in TABLE.text] == ["71.2 ± 1.1 (4)", "−70.1 ± 2.2 (4)", "66.7 (1)"]
    assert decimals([Interval(70.0, 1.0, 3, 1.0), Interval(0.5, 0.01, 3, 0.01)]) is None


def test_csv_keeps_every_digit_and_spreads_intervals_over_three_columns():
    rows = list(csv.reader(io.StringIO(to_csv(TABLE))))
    assert rows[0] == ["method", "task_0", "task_0 half", "task_0 n", "lr", "n"]
    assert rows[1] == ["SimCLR|x", "71.23", "1.12", "4", "0.0501234567", "3"]
    assert rows[3] == ["one {seed}", "66.66", "", "1", "", "1"]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False), st.integers()), max_size=5))
def test_csv_gives_back_any_text_and_number(rows):
    read = list(csv.reader(io.StringIO(to_csv(Table("t", ("a", "b", "c"), tuple(rows))), newline="")))[1:]
    assert [(a, float(b), int(c)) for a, b, c in read] == rows


def test_html_says_the_same_cells():
    page = Cells(to_html(TABLE))
    assert page.rows == [list(TABLE.columns), *(list(row) for row in TABLE.text), [TABLE.footer]]
    assert page.bold == ["71.2 ± 1.1 (4)"]


@given(st.text())
def test_html_escapes_any_text(text):
    html = to_html(Table(text, (text,), ((text,),), text))
    inside = re.sub(r"</?(table|caption|thead|tbody|tfoot|tr|th|td)( [a-z]+=\"[a-z0-9]*\")*>", "", html)
    assert "<" not in inside
    assert ">" not in inside


def test_markdown_has_equal_columns_in_every_line():
    lines = [line for line in to_markdown(TABLE).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(TABLE.columns) + 1}
    assert lines[1] == "| :--- | ---: | ---: | ---: |"
    assert "**71.2 ± 1.1 (4)**" in lines[2]


def test_latex_escapes_what_latex_reads():
    latex = to_latex(TABLE)
    assert r"Accuracy (\%) \& $<$more$>$" in latex
    assert r"SimCLR$|$x & \textbf{71.2 $\pm$ 1.1 (4)} & 0.05012 & 3 \\" in latex
    assert r"$-$70.1" in latex
    assert r"one \{seed\}" in latex
    assert latex.count(r"\begin{") == latex.count(r"\end{") == 2


def test_the_terminal_shows_text_as_it_is():
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(to_rich(Table("[red]t", ("a [b]",), (("[bold]x",), (":smile:",)), "[dim]f")))
    shown = console.export_text()
    assert all(text in shown for text in ("[red]t", "a [b]", "[bold]x", ":smile:", "[dim]f"))


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(UserError, match=r"Table.rows\[1\] = .*must have 2 cells.*Use None"):
        Table("t", ("a", "b"), (("x", 1), ("y",)))
