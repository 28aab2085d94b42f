"""A sweep on a pseudo-terminal: the live page, Ctrl-C once (saves and leaves), Ctrl-C twice (leaves now)."""

import re
import runpy
import sys

import pytest

from tests import driver
from tests.terminal import SCRIPT

EPOCHS = 2 * 40
pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,  # two clusters, each with a cold worker
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def story(story_run):
    return story_run.result()


def test_the_live_page_shows_title_progress_and_candidates(story):
    for shown in story.shown:
        assert re.search(r"sweep slow +\d:\d\d", shown)
        assert re.search(r"stages done .* \d/2", shown)
        assert re.search(r"Slow [0-9a-f]{8} .* \d+/40", shown)
        assert re.search(r"candidate +state +seeds +loss +knobs", shown)
        assert re.search(r"0 +open +0/1 +rate=1\.\d+", shown)


def test_ctrl_c_once_saves_and_leaves(story):
    assert "Ctrl-C: saving after the running epochs" in story.shown[0]
    assert story.codes[0] == 130
    assert "Traceback" not in story.shown[0]
    assert 6 <= story.saved[0] < EPOCHS


def test_ctrl_c_twice_leaves_within_five_seconds_and_leaves_no_process(story):
    assert story.codes[1] == 130
    assert story.all_gone
    assert story.seconds < 5
    assert b"\x1b[?25h" in story.last_bytes  # the cursor is shown again


def test_the_same_command_goes_on_and_repeats_no_epoch(story, monkeypatch):
    assert story.saved[1] > story.saved[0]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "run", "--root", str(story.root), "--engine", "inline"])
    with driver.without_pictures(), pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert not end.value.code
    computed, different = driver.epochs(story.root)
    assert different == EPOCHS
    assert computed - different <= 1  # the second Ctrl-C may have hit between saving and saying so
    assert {record.stage for record in driver.records(story.root).values()} == {"Slow", "Loss"}
