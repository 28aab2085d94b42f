"""`plan` says what would run and runs nothing; the plan of the published comparison is frozen.

To freeze it again after a wanted change: python tests/sweeps/test_plan.py
"""

import contextlib
import io
import json
from pathlib import Path

from sweeps.catalog import CATALOG
from sweeps.script import serve

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "plan_to_contrast_paper.json"


def plan(*argv):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        serve(dict(CATALOG), ["plan", *argv])
    return out.getvalue()


def paper(root):
    """What depends on this machine is left out: the room on its disk, and what is said of it."""
    found = json.loads(plan("to_contrast", "--preset", "paper", "--json", "--gpus", "2", "--price", "0.5", "--root", str(root)))
    del found["disk"]["free"], found["warnings"]
    return found


def test_the_published_comparison_needs_twelve_pretrainings(tmp_path):
    found = paper(tmp_path)
    needed = {row["class"]: row["needed"] for row in found["stages"]}
    assert needed["Pretrain"] == 12
    assert needed["Finetune"] == 16 * 4  # four arms with the encoder that is not trained, four seeds, four tasks
    assert len(found["sharing"]) == 12
    assert all(row["held"] == 0 and row["basis"] == "guess" for row in found["stages"])


def test_the_plan_of_the_published_comparison_is_frozen(tmp_path):
    assert paper(tmp_path) == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_planning_leaves_no_trace(tmp_path):
    paper(tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_every_sweep_of_the_catalogue_can_be_planned_at_every_preset(tmp_path, monkeypatch):
    monkeypatch.delenv("CONTRAST_DATA", raising=False)
    for name, preset in (("quickstart", "smoke"), ("quickstart", "mini"), ("to_contrast", "smoke"), ("to_contrast", "mini")):
        found = json.loads(plan(name, "--preset", preset, "--json", "--root", str(tmp_path)))
        assert all(row["missing"] == row["needed"] > 0 for row in found["stages"])


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(paper("/nowhere"), indent=1) + "\n", encoding="utf-8")
