"""Rows follow from candidates and store alone; they are compared as whole values, and their numbers with closed forms."""

import json
import math
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from sweeps.mlflow_rows import run_rows
from sweeps.points import MOST_KEYS

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
STATES = {"good": "complete", "slow": "pruned", "wild": "diverged", "broken": "failed"}


def test_rows_are_a_function_of_candidates_and_store(swept, again, tmp_path):
    root = Path(shutil.copytree(swept.root, tmp_path / "copy"))
    found = again(root)  # tries the broken one once more, and finds the rest done
    tried = {run.key for run in swept.of_kind("broken")} | {"search/summary"}
    assert [elsewhere(run, tried) for run in found] == [elsewhere(run, tried) for run in swept.rows]


def elsewhere(run, tried):
    """Rows without pictures and pages, which name the root they are read from, and without the end of what was tried again."""
    files = {name: data for name, data in run.files.items() if isinstance(data, bytes)}
    return replace(run, files=files, end=0 if run.key in tried else run.end)


def test_every_candidate_has_a_run_with_its_replicates_nested(swept):
    for kind, state in STATES.items():
        candidate, *replicates = swept.of_kind(kind)
        assert candidate.tags["state"] == state
        assert [run.parent for run in replicates] == [candidate.key] * len(replicates)
        assert swept.live[replicates[0].key]["tags"]["mlflow.parentRunId"] == candidate.key
        assert {run.status for run in (candidate, *replicates)} == {
            {"complete": "FINISHED", "pruned": "KILLED"}.get(state, "FAILED"),
        }
    assert [run.key.rpartition("/")[2] for run in swept.of_kind("good")[1:]] == [f"seed-{s}" for s in (0, 1, 2, 7, 8)]
    replicate = swept.of_kind("good")[1]
    assert {"kind": "good", "seed": "0", "phase": "search", "train.seed": "0"}.items() <= replicate.params.items()
    measure = swept.population.candidates[int(replicate.tags["candidate"])].replicates[0].stages["score"]
    assert replicate.tags["stage.train"] == f"Train/{swept.population.graph.identity(measure.of)}"
    assert (swept.root / replicate.tags["arrays.score"]).exists()
    assert (swept.root / "store" / replicate.tags["stage.train"] / "record.json").exists()


@pytest.mark.parametrize(
    ("kind", "epochs", "reason"), [("slow", 2, "50 % of the schedule"), ("wild", 2, "nan in epoch 3"), ("broken", 2, "log in")]
)
def test_what_was_given_up_shows_its_curve_so_far_and_why(swept, kind, epochs, reason):
    candidate, replicate = swept.of_kind(kind)
    assert reason in candidate.tags["reason"]
    assert reason in replicate.tags["reason"]
    assert [(p.step, p.value) for p in replicate.metrics if p.key == "train/loss"] == [(e, 1 / e) for e in range(1, epochs + 1)]


def test_the_means_of_n_seeds_stand_at_step_n_and_never_mix_phases(swept):
    sweep = replace(swept.population.sweep, headline=("score",))
    good = next(c for c in swept.population.candidates.values() if c.knobs["kind"] == "good")
    candidate = run_rows(sweep, good, swept.population.graph)[0]
    points = {(p.key, p.step): p.value for p in candidate.metrics}
    for prefix, seeds in (("search/score", (0, 1, 2)), ("score", (7, 8))):
        values = [10.0 + seed**2 for seed in seeds]
        for n in range(1, len(seeds) + 1):
            assert points[prefix, n] == pytest.approx(statistics.mean(values[:n]), rel=1e-12)
            assert (f"{prefix}/sd", n) in points or n == 1
        n, sd = len(seeds), statistics.stdev(values)
        assert points[f"{prefix}/sd", n] == pytest.approx(sd, rel=1e-12)
        assert points[f"{prefix}/half", n] == pytest.approx(stats.t.ppf(0.975, n - 1) * sd / math.sqrt(n), rel=1e-12)
    assert [points["objective", n] for n in (1, 2, 3)] == [points["search/score", n] for n in (1, 2, 3)]
    assert candidate.tags["objective"] == "maximize score"


def test_a_value_that_is_not_finite_is_a_tag_and_no_metric(swept):
    run = next(run for run in swept.of_kind("good") if run.key.endswith("search/seed-2"))
    assert run.tags["nonfinite.score/odd"] == "inf at step 0"
    assert not [point for one in swept.rows for point in one.metrics if not math.isfinite(point.value)]
    assert swept.of_kind("good")[0].tags["nonfinite.search/score/odd"] == "inf at step 3"
    assert json.loads(run.files["results.json"])["results"]["score/odd"] == "inf"


def test_a_run_has_at_most_40_keys_and_a_table_of_the_rest(swept):
    for run in swept.rows:
        assert len({point.key for point in run.metrics}) <= MOST_KEYS
    full = swept.of_kind("good")[1]
    shown, tables = {point.key for point in full.metrics}, json.loads(full.files["results.json"])
    assert [key for key in shown if "monitor" in key] == ["train/monitor/score"], "a monitor is called by its key"
    assert len(shown) == 24 + 3  # results, and the curves of the one training: loss, lr, monitor
    assert set(tables["results"]) - shown - {"many/0", "many/0/odd"} == {f"many/0/other_{i}" for i in range(21, 50)}
    assert set(tables["left_out"]) == set(tables["results"]) - shown - {"many/0"}
    assert full.tags["left_out"] == f"{len(tables['left_out'])} metrics stand in results.json only"


def test_the_summary_has_what_compares_all_and_the_report(swept):
    (summary,) = [run for run in swept.rows if run.key == "search/summary"]
    assert [(p.key, p.value) for p in summary.metrics] == [("spread", 1.0)]
    assert summary.status == "FINISHED"
    artefacts = {str(path.relative_to(path.parents[2])) for path in (swept.root / "mlartifacts").rglob("index.html")}
    assert {name.partition("/")[2] for name in artefacts} == {"report/index.html"}
    study = json.loads(summary.files["study.json"])
    assert {line["knobs"]["kind"]: line["state"] for line in study} == STATES


def test_confirmed_replicates_have_pictures_equal_to_the_byte(swept):
    for run in swept.of_kind("good")[1:]:
        drawn = {name: picture.png() for name, picture in run.files.items() if name.endswith(".png")}
        assert set(drawn) == (set() if "/search/" in run.key else {"figures/score.png", "figures/many.png"})
        assert all(data.startswith(b"\x89PNG") and run.files[name].png() == data for name, data in drawn.items())
    assert len(list((swept.root / "mlartifacts").rglob("score.png"))) >= 2
