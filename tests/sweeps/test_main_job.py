"""The whole way: a sweep through Ray, a worker killed in it, MLflow read back, deleted and projected again, and the command again.

One smoke quickstart serves all tests of this file; each of them leaves its root finished. The reference is an undisturbed run
of the same sweep in one process: what came out must be equal to the last digit.
"""

import hashlib
import json
import re
import shutil
import sqlite3
from dataclasses import replace

import pytest

from analysis import Uniformity
from sweeps import main
from sweeps.catalog import CATALOG
from tests import driver
from tests.driver import SMOKE, command

KNOBS = {"temperature", "batch_size", "distribution_weight", "projection_depth"}
HEADLINE = {"accuracy", "knn", "progress", "flatness", "fgsm", "pgd"}
NAME = "quickstart-smoke"
pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,  # a cluster, two cold workers and one lost take that long
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def job(job_run):
    return job_run.result()


@pytest.fixture(scope="module")
def units(job):
    """The units that Ray was given."""
    return launched(job.root)["units"]


def again(root, *options, pictures=False):
    """The same command in this process; returns what it counted."""
    ended = command("run", *SMOKE, "--engine", "inline", "--root", root, *options, pictures=pictures)
    assert ended.code == 0, ended.err
    return launched(root)


def launched(root):
    """What `status` says of the last launch."""
    return json.loads(command("status", *SMOKE, "--json", "--root", root).out)["last_launch"]


def test_a_killed_worker_costs_at_most_an_epoch(job):
    assert "lost its worker, goes on from its last epoch" in job.printed
    computed, different = driver.epochs(job.root)
    assert computed - different <= 1
    assert driver.committed(job.root).items() >= job.committed.items()
    assert different == 6 * 2 + 6 * 3  # of six pretrainings and six fine-tunings


def test_results_do_not_depend_on_engine_workers_or_kills(job, undisturbed):
    assert driver.results(job.root) == driver.results(undisturbed)
    assert driver.tables(job.printed) == driver.tables((undisturbed / "printed.txt").read_text())


def test_the_driver_prints_progress_tables_best_knobs_report_and_peak_memory(job):
    for expected in (
        r"\d:\d\d candidate 0 ",
        r"Pretrain epoch 2/2 loss=",
        r"Candidates of quickstart-smoke",
        r"±",
        r"best candidate \d: .*temperature",
        rf"report {job.root}/reports/{NAME}/index.html",
        rf"mlflow ui --backend-store-uri sqlite:///{job.root}/mlflow.db",
        r"peak memory 0*[1-9.]",
    ):
        assert re.search(expected, job.printed), f"{expected} is not in\n{job.printed}"


def test_every_tune_trial_is_a_training_with_its_measures_or_a_long_measure(units):
    trainings = [sorted(unit) for unit in units if unit[0] in ("Pretrain", "Finetune")]
    assert ["KNN", "Pretrain"] in trainings
    assert ["Accuracy", "FGSM", "Finetune", "PGD", "Progress"] in trainings
    others = [unit for unit in units if unit[0] not in ("Pretrain", "Finetune")]
    rest = [unit for unit in others if unit != ["Landscape"]]  # of the unit whose worker was killed, if its training was through
    assert len(trainings) + len(rest) in (12, 13)
    assert len(rest) <= 1


def test_the_report_has_every_file_that_it_names(job):
    page = job.root / "reports" / NAME / "index.html"
    named = re.findall(r'(?:src|href)="([^"#]+)"', page.read_text())
    assert len(named) > 10
    assert [name for name in named if not (page.parent / name).is_file()] == []


def test_mlflow_has_a_run_a_candidate_with_nested_replicates(job, tmp_path):
    from mlflow import MlflowClient

    shutil.copyfile(job.root / "mlflow.db", tmp_path / "mlflow.db")  # MLflow keeps what it opens, and another test deletes it
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name(NAME)
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    nested = [run for run in runs.values() if "mlflow.parentRunId" in run.data.tags]
    parents = [run for run in runs.values() if run not in nested and run.info.run_name != "summary"]
    assert len(parents) == 2
    assert len(nested) == 2 * 2 + 2
    assert len(runs) == 9
    for run in parents:
        assert set(run.data.params) >= KNOBS
        assert {key.removeprefix("search/") for key in run.data.metrics} >= HEADLINE
    (confirmed,) = [run for run in parents if set(run.data.metrics) >= HEADLINE]
    assert confirmed.data.tags["state"] == "complete"
    for run in nested:
        parent = runs[run.data.tags["mlflow.parentRunId"]]
        assert {knob: run.data.params[knob] for knob in KNOBS} == {knob: parent.data.params[knob] for knob in KNOBS}
        assert set(run.data.metrics) >= HEADLINE
        losses = [key for key in run.data.metrics if key.endswith("/loss")]
        assert sorted(len(client.get_metric_history(run.info.run_id, key)) for key in losses) == [2, 3]  # epochs
    pictures = [artefact for run in nested for artefact in artefacts(client, run) if artefact.endswith(".png")]
    assert len(pictures) >= len(HEADLINE) - 1


def artefacts(client, run, folder=None):
    for entry in client.list_artifacts(run.info.run_id, folder):
        yield from artefacts(client, run, entry.path) if entry.is_dir else [entry.path]


def test_a_deleted_projection_comes_back_equal_row_for_row(job):
    before = projection(job.root)
    (job.root / "mlflow.db").unlink()
    assert again(job.root, pictures=True) == {"reused": 48, "computed": 0, "units": []}
    after = projection(job.root)
    assert after == before
    assert sum(len(rows) for rows in after.values()) > 500


def projection(root):
    """Every row of MLflow's tables about runs, and every artefact, with keys in place of run ids."""
    database = sqlite3.connect(root / "mlflow.db")
    keys = dict(database.execute("SELECT run_uuid, value FROM tags WHERE key = 'sweep.key'"))
    assert len(keys) == database.execute("SELECT count(*) FROM runs").fetchone()[0]
    pattern = re.compile("|".join(keys))

    def told(cell):
        return pattern.sub(lambda found: keys[found.group()], cell) if isinstance(cell, str) else cell

    tables = {
        table: database.execute(f"SELECT * FROM {table}").fetchall() for table in ("runs", "metrics", "latest_metrics", "params", "tags")
    }
    found = {table: sorted(repr(tuple(map(told, row))) for row in rows) for table, rows in tables.items()}
    folder = root / "mlartifacts" / NAME
    paths = [path for run in keys for path in (folder / run).rglob("*") if path.is_file()]
    found["artefacts"] = sorted(f"{told(str(path))} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in paths)
    return found


def test_further_seeds_run_only_what_is_new(job):
    before = driver.records(job.root)
    counted = again(job.root, "--seeds", "0,10,20")
    new = [record for identity, record in driver.records(job.root).items() if identity not in before]
    assert len(new) == counted["computed"] == 2 * 8  # of two candidates
    assert {record.value["fields"]["seed"] for record in new if record.stage in ("Pretrain", "Finetune")} == {20}
    assert driver.records(job.root).items() >= before.items()


def test_a_flipped_byte_and_a_further_measure_run_what_they_must_and_nothing_else(job):
    smoke = CATALOG["quickstart"]("smoke")

    def space(trial, seed, phase):
        stages = smoke.space(trial, seed, phase)
        return stages | {"uniformity": Uniformity(stages["knn"].of, on=stages["knn"].on)}

    before = driver.records(job.root)
    tuned = next(record for record in before.values() if record.stage == "Finetune" and record.value["fields"]["seed"] == 0)
    path = job.root / "store" / "Finetune" / tuned.fingerprint / tuned.attempt / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with driver.without_pictures(), pytest.raises(SystemExit) as end:
        main(replace(smoke, space=space), ["run", "--engine", "inline", "--root", str(job.root)])
    assert not end.value.code
    assert sorted(launched(job.root)["units"]) == [["Finetune"], *[["Uniformity"]] * 6]
    after = driver.records(job.root)
    assert [record.stage for identity, record in after.items() if identity not in before] == ["Uniformity"] * 6
    assert [identity for identity in before if after[identity] != before[identity]] == [tuned.fingerprint]
    assert after[tuned.fingerprint].results == tuned.results
    assert after[tuned.fingerprint].files == tuned.files
