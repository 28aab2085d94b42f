"""The small commands of the command line: what they print is true, and to look changes nothing."""

import json
import re

import pytest

from sweeps.store import Store
from tests import driver
from tests.driver import SMOKE, command


@pytest.fixture
def finished(undisturbed):
    """A finished root that must stay as it is."""
    before = driver.files(undisturbed)
    yield undisturbed
    assert driver.files(undisturbed) == before


def test_list_names_every_sweep_with_its_question():
    printed = command("list").out
    assert re.search(r"^quickstart  Which temperature, batch size, lambda", printed, re.MULTILINE)
    assert re.search(r"^to_contrast  To contrast or not to contrast\?", printed, re.MULTILINE)


def test_status_says_how_far_a_finished_sweep_is(finished):
    printed = command("status", *SMOKE, "--root", finished).out
    for expected in ("2 complete of 2", "48 held", "0 missing", "0 stages reused, 48 computed", "best", "yes"):
        assert expected in printed
    found = json.loads(command("status", *SMOKE, "--root", finished, "--json").out)
    assert found["finished"]
    assert found["stages"] == {"held": 48, "diverged": 0, "failed": 0, "missing": 0}
    assert found["best"][0]["n"] == 2


@pytest.mark.parametrize(
    "argv", [("status", *SMOKE), ("status", "to_contrast", "--json"), ("plan", *SMOKE), ("plan", "to_contrast", "--json")]
)
def test_looking_at_a_root_that_is_not_there_makes_none(argv, tmp_path):
    root = tmp_path / "nothing"
    ended = command(*argv, "--root", root)
    assert ended.code == 0, ended.err
    assert not root.exists()


def test_plan_counts_what_is_held_and_what_further_seeds_need(finished):
    held = json.loads(command("plan", *SMOKE, "--json", "--root", finished).out)["stages"]
    assert {row["missing"] for row in held} == {0}
    assert {row["basis"] for row in held} == {"record"}
    more = json.loads(command("plan", *SMOKE, "--json", "--root", finished, "--seeds", "0,10,20").out)["stages"]
    assert {(row["class"], row["missing"]) for row in more} == {(row["class"], 2) for row in held}


def test_show_and_logs_find_a_stage_by_the_first_digits(finished):
    record = next(record for record in driver.records(finished).values() if record.stage == "Pretrain")
    shown = json.loads(command("show", record.fingerprint[:12], "--root", finished).out)
    assert shown["fingerprint"] == record.fingerprint
    assert shown["results"] == record.results
    assert shown["value"]["class"] == "Pretrain"
    printed = command("logs", record.fingerprint[:12], "--root", finished).out
    assert re.search(r"Pretrain \w+ starts\n.* epoch 1 .*\n.* epoch 2 .*\n.* complete", printed)


def test_report_writes_the_page_of_what_is_finished(fresh_root, undisturbed):
    page = undisturbed / "reports" / "quickstart-smoke" / "index.html"
    before = page.read_text()
    page.unlink()
    ended = command("report", *SMOKE, "--root", undisturbed)
    assert f"report {page}" in ended.out
    assert _without_times(page.read_text()) == _without_times(before)


def test_report_of_nothing_says_so(tmp_path):
    Store.open(tmp_path)
    ended = command("report", *SMOKE, "--root", tmp_path)
    assert ended.code == 0, ended.err
    assert "No candidate is complete yet." in (tmp_path / "reports" / "quickstart-smoke" / "index.html").read_text()


def test_one_runs_a_single_point_and_keeps_its_stages(tmp_path):
    argv = ("one", *SMOKE, "temperature=0.5", "projection_depth=2", "--seed", "3", "--root", tmp_path)
    ended = command(*argv)
    assert ended.code == 0, ended.err
    (net,) = [record for record in driver.records(tmp_path).values() if record.stage == "Pretrain"]
    fields = net.value["fields"]
    assert fields["loss"]["fields"]["temperature"] == 0.5
    assert fields["head"]["fields"]["depth"] == 2
    assert fields["seed"] == 3
    assert fields["data"]["fields"]["part"] == "fit"  # the search phase: the test split stays untouched
    for metric in ("accuracy", "knn", "progress", "flatness", "fgsm", "pgd"):
        assert re.search(rf"^ *{metric} +\S", ended.out, re.MULTILINE)
    before = driver.records(tmp_path)
    again = command(*argv)
    assert "committed" not in again.out
    assert driver.records(tmp_path) == before
    assert not list((tmp_path / "sweeps").iterdir()), "it is no sweep"


def _without_times(page):
    """The page without the counts of the launch and the paths of its pictures."""
    return re.sub(r"<table.*?</table>", "", page, flags=re.DOTALL)
