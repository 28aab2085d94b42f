"""The report is read back as a browser would: well-formed, escaped, every file it names there, nothing fetched from a network."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from analysis.report import Page, Picture, Section, compare, render
from analysis.statistics import cannot_reject, detectable, paired, seeds_needed
from analysis.table import Table
from contrast.component import UserError

SCRIPT = "<script>alert('x')</script> & \"quoted\""
VOID = {"meta", "img", "br", "link", "hr"}


class Browser(HTMLParser):
    """Tags, links and text of a page; fails on a tag that is closed out of turn."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "srcset", "data", "action", "poster")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data


def drawing(width=3.3):
    figure = Figure(figsize=(width, 2))
    figure.add_subplot().plot([0, 1], [1, 0])
    return figure


TABLE = Table("Found: " + SCRIPT, ("method", "value"), (("a < b", 1.5), (SCRIPT, 2.0)), "note " + SCRIPT)


def page():
    return Page(
        title="What " + SCRIPT,
        question="Which?\n" + SCRIPT,
        sections=(
            Section("First " + SCRIPT, "One paragraph.\n\nAnother, " + SCRIPT, (TABLE,), (Picture("curve", drawing(), SCRIPT, TABLE),)),
            Section("Second", pictures=(Picture("wide-one", drawing(width=6.85), "Wide."),)),
        ),
        provenance=Table("Made of", ("what", "value"), (("seeds", "1, 2, 3, 4"),)),
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return render(page(), tmp_path_factory.mktemp("report") / "made" / "here")


@pytest.fixture(scope="module")
def read(written):
    return Browser(written.read_text(encoding="utf-8"))


def test_every_file_the_page_names_exists_and_holds_something(written, read):
    files = [link for link in read.links if not link.startswith("#")]
    assert len(files) == len(set(files)) == 6 + (1 + 3) + (1 + 2), "two tables in three formats, two pictures, one with its data"
    for link in files:
        assert (written.parent / link).stat().st_size > 0, link


def test_every_anchor_is_on_the_page(written, read):
    html = written.read_text(encoding="utf-8")
    anchors = [link[1:] for link in read.links if link.startswith("#")]
    assert anchors == ["section-1", "section-2"]
    assert all(f'id="{anchor}"' in html for anchor in anchors)


def test_nothing_comes_from_a_network_and_no_script_runs(written, read):
    html = written.read_text(encoding="utf-8")
    assert not [link for link in read.links if re.match(r"([a-z]+:)?//", link)]
    assert not re.search(r"url\(|@import|https?:", html)
    assert not {"script", "iframe", "link", "object", "embed"} & set(read.tags)


def test_text_is_shown_as_it_was_written(written, read):
    assert "<script>" not in written.read_text(encoding="utf-8")
    assert read.text.count(SCRIPT) == 10, "title twice, question, contents, heading, prose, table (3), caption"


def test_paragraphs_tables_and_figures_are_in_order_and_numbered(read):
    words = [
        "Which?",
        "One paragraph.",
        "Another,",
        "Found:",
        "Table 1.",
        "Figure 1.",
        "Second",
        "Figure 2.",
        "Provenance",
        "Made of",
        "Table 2.",
    ]
    places = [read.text.rindex(word) for word in words]
    assert places == sorted(places)


def test_a_wide_figure_has_the_page_to_itself(written):
    assert written.read_text(encoding="utf-8").count('<figure class="wide">') == 1


def test_the_same_page_is_the_same_folder_and_can_be_written_again(written, tmp_path):
    other = render(page(), tmp_path)
    render(page(), tmp_path)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(written.parent) for path in written.parent.rglob("*") if path.is_file())
    assert all((other.parent / path).read_bytes() == (written.parent / path).read_bytes() for path in files)


def test_a_page_without_provenance_or_sections_is_a_page(tmp_path):
    read = Browser(render(Page("Empty", "Nothing?", ()), tmp_path).read_text(encoding="utf-8"))
    assert "nav" not in read.tags
    assert "Nothing?" in read.text


@pytest.mark.parametrize(("name", "stem"), [("fgsm", "fgsm"), ("../up", "up"), ("acc@1/ü b", "acc-1-b"), (".hidden", "hidden")])
def test_any_name_becomes_a_file_in_the_folder(name, stem):
    assert Picture(name, drawing(), "c").stem == stem


@pytest.mark.parametrize("name", ["", "..", "é"])
def test_a_name_without_a_letter_or_digit_is_refused(name):
    with pytest.raises(UserError, match=r"Picture.name = .*must have a letter or digit"):
        Picture(name, drawing(), "c")


def test_two_pictures_of_one_name_are_refused():
    one = Picture("same", drawing(), "c")
    with pytest.raises(UserError, match=r"has twice: \['same'\]"):
        replace(page(), sections=(Section("s", pictures=(one,)), Section("t", pictures=(one,))))


def scores(n=4):
    draws = np.random.default_rng(0)
    seeds = draws.normal(70, 2, n)
    shifts = {"base": 0, "better": 3, "same": 0.1}
    return {
        metric: {method: dict(enumerate((seeds + shift + 0.3 * draws.normal(size=n)).tolist())) for method, shift in shifts.items()}
        for metric in ("accuracy (%)", "kNN (%)")
    }


def test_the_comparison_is_of_paired_differences_with_holm_over_the_whole_table():
    given = scores()
    table = compare(given, "base", "Comparison")
    rows = {(row[0], row[1]): row for row in table.rows}
    assert len(rows) == 6
    raw = {}
    for (metric, method), row in rows.items():
        if method == "base":
            assert row[3:] == (None,) * 6
            continue
        a, b = (np.array(list(given[metric][name].values())) for name in (method, "base"))
        raw[metric, method] = stats.ttest_rel(a, b).pvalue
        assert row[3].mean == pytest.approx((a - b).mean())
        spread = (a - b).std(ddof=1)
        assert row[5:7] == pytest.approx(((a - b).mean() / spread, detectable(4) * spread))
        assert row[7] == paired(given[metric][method], given[metric]["base"]).sign_flip_p
        assert row[8] == seeds_needed((a - b).mean(), spread)
    ordered = sorted(raw, key=raw.get)
    expected = np.maximum.accumulate([min(1, raw[key] * (4 - i)) for i, key in enumerate(ordered)])
    assert [rows[key][4] for key in ordered] == pytest.approx(expected.tolist())
    assert {(table.rows[r][1], c) for r, c in table.bold} == {("better", 3)}


def test_a_comparison_without_a_p_counts_in_the_correction():
    given = scores()
    raw = [paired(methods[method], methods["base"]).p for methods in given.values() for method in ("better", "same")]
    given["constant"] = {"base": dict.fromkeys(range(4), 1.0), "better": dict.fromkeys(range(4), 2.0)}
    table = compare(given, "base", "t")
    adjusted = {row[:2]: row[4] for row in table.rows}
    assert min(p for p in adjusted.values() if p is not None) == pytest.approx(5 * min(raw))
    assert adjusted["constant", "better"] is None
    assert "Holm over 5 comparisons" in table.footer


def test_what_seeds_share_counts_once():
    """A fixed baseline is one network; the differences to it are as many as there are networks of the method."""
    trained = scores()["kNN (%)"]["base"]
    given = {"accuracy": {"fixed": dict.fromkeys(range(4), 50.0), "also fixed": dict.fromkeys(range(4), 60.0), "trained": trained}}
    made = {
        "accuracy": {"fixed": dict.fromkeys(range(4), "a"), "also fixed": dict.fromkeys(range(4), "b"), "trained": {s: s for s in range(4)}}
    }
    table = compare(given, "fixed", "t", made)
    rows = {row[1]: row for row in table.rows}
    assert {method: row[2].n for method, row in rows.items()} == {"fixed": 1, "also fixed": 1, "trained": 4}
    assert (rows["also fixed"][3].mean, rows["also fixed"][3].n) == (10, 1)
    assert rows["also fixed"][4:] == (None,) * 5
    assert rows["trained"][3].n == 4
    assert rows["trained"][4] == pytest.approx(min(1, 2 * stats.ttest_1samp(list(trained.values()), 50).pvalue))
    assert "what is computed once for several seeds counts once" in table.footer
    assert "counts once" not in compare(scores(), "base", "t").footer


def test_the_comparison_says_what_too_few_seeds_cannot_show():
    assert cannot_reject(4) in compare(scores(4), "base", "t").footer
    assert "cannot" not in compare(scores(6), "base", "t").footer


def test_of_one_shared_seed_only_the_difference_is_said():
    table = compare(scores(1), "base", "t")
    (row,) = [row for row in table.rows if row[:2] == ("kNN (%)", "better")]
    assert (row[2].half, row[3].half, row[3].n) == (None, None, 1)
    assert row[4:] == (None,) * 5
    assert not table.bold


def test_of_unequal_seed_sets_the_shared_ones_are_compared_and_the_footer_says_so():
    given = scores(5)
    for seeds in given.values():
        seeds["better"] = {seed + 2: value for seed, value in seeds["better"].items()}
    table = compare(given, "base", "t")
    assert "of better and base only the shared seeds are in the differences" in table.footer
    assert [row[3].n for row in table.rows if row[1] == "better"] == [3, 3]
    assert [row[2].n for row in table.rows if row[1] == "better"] == [5, 5]
    assert "only the shared" not in compare(scores(5), "base", "t").footer
    given["kNN (%)"]["better"] = {99: 1.0}
    with pytest.raises(UserError, match="must share a seed to be paired"):
        compare(given, "base", "t")


def test_a_baseline_without_results_is_refused():
    with pytest.raises(UserError, match=r"baseline = 'none': must have 'accuracy \(%\)', which \['base', 'better', 'same'\] have"):
        compare(scores(), "none", "t")
