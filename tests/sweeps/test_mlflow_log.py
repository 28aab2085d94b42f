"""MLflow shows what the store holds, no more and no less.

A small search of four candidates runs in process, one good, one pruned, one diverging, one failing; its rows are sent to a
real SQLite store, all along and once at the end, and read back with SQL. The laws are equalities of whole databases, with
run ids replaced by our keys.
"""

import json
import math
import os
import shutil
import sqlite3
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from matplotlib.figure import Figure
from scipy import stats

from analysis.measure import Measure
from contrast.component import UserError
from contrast.model import Model
from contrast.stage import Diverged, Stage
from sweeps import Confirm, Sweep
from sweeps.candidate import CandidateFiles
from sweeps.controller import Controller
from sweeps.engines import inline
from sweeps.engines.worker import Place
from sweeps.mlflow_log import MlflowLog, NotSent
from sweeps.mlflow_rows import run_rows, summary_rows
from sweeps.points import MOST_KEYS
from sweeps.population import Population
from sweeps.store import Store

CANARY = "canary-7f3a9c51"
STATES = {"good": "complete", "slow": "pruned", "wild": "diverged", "broken": "failed"}


@dataclass(frozen=True)
class Train(Stage):
    """Four epochs, two for the wild and the broken; the loss is known in closed form."""

    kind: str
    seed: int

    @property
    def length(self):
        return 4

    def run(self, workspace):
        done, _ = workspace.restore()
        for epoch in range(done + 1, 5):
            if epoch == 3 and self.kind == "wild":
                raise Diverged("the loss became nan in epoch 3")
            if epoch == 3 and self.kind == "broken":
                raise RuntimeError(f"cannot log in as {os.environ['CANARY_TOKEN']}")
            metrics = {"loss": (1 + self.seed) / epoch, "lr": 0.1}
            if workspace.monitor is not None:
                metrics |= workspace.monitor(self.model(SimpleNamespace(of=lambda stage: workspace.so_far())))
            workspace.save(epoch, metrics, {})
            yield metrics
        return {"loss": metrics["loss"]}

    def model(self, workspace):
        return Model(self, workspace.of(self), build=lambda: None)


@dataclass(frozen=True)
class Score(Measure):
    """A main result, one that is not finite for seed 2, and as many others as wanted."""

    others: int = 0

    def measure(self, model, workspace):
        seed = model.stage.seed
        workspace.keep_arrays(line=np.arange(3.0) + seed)
        odd = math.inf if seed == 2 else 1.0
        return {"score": 10.0 + seed**2, "odd": odd} | {f"other_{i:02d}": float(i) for i in range(self.others)}

    @classmethod
    def figure(cls, drawn):
        figure = Figure(figsize=(1, 1))
        for one in drawn:
            figure.subplots().plot(one.arrays["line"])
        return figure


@dataclass(frozen=True)
class Spread(Measure):
    """Compares all replicates."""

    def measure(self, model, workspace):
        return {"spread": float(max(m.stage.seed for m in model) - min(m.stage.seed for m in model))}


class PruneSlow(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.params["kind"] == "slow" and trial.last_step >= 50


def space(trial, seed, phase):
    net = Train(trial.suggest_categorical("kind", list(STATES)), seed)
    return {"score": Score(net), "many/0": Score(net, others=50)}


def across(done):
    return {"spread": Spread(tuple(run.stages["score"].of for run in done))}


def declared(name):
    return Sweep(
        name,
        space,
        trials=4,
        maximize="score",
        monitor="score",
        pruner=PruneSlow(),
        seeds=(0, 1, 2),
        confirm=Confirm(1, (7, 8)),
        across=across,
        sampler=lambda seed: optuna.samplers.BruteForceSampler(seed=seed),
        headline=("score", "score/odd", "many/0/*"),
    )


def rows_of(population):
    candidates = [population.candidates[number] for number in sorted(population.candidates)]
    page = population.store.root / "report" / "index.html"
    return [run for c in candidates for run in run_rows(population.sweep, c, population.graph)] + summary_rows(population, page)


def adopted(sweep, root, listen=lambda population: None):
    heard = []
    population = Population(
        sweep,
        Store.open(root),
        CandidateFiles(root, sweep.name),
        searching=True,
        check=lambda stages, phase: None,
        emit=lambda event: [listen(one) for one in heard],
    )
    heard.append(population)
    return population


def read_back(database, sweep):
    """Every run of an experiment by our key: its row, params, tags and all metric values, without ids of runs."""
    with sqlite3.connect(database) as db:
        query = "select run_uuid, r.name, status, start_time, end_time from runs r join experiments using (experiment_id) where experiments.name = ?"
        found = {run[0]: run[1:] for run in db.execute(query, [sweep])}
        tags = {run: dict(db.execute("select key, value from tags where run_uuid = ?", [run])) for run in found}
        keys = {run: tags[run]["sweep.key"] for run in found}
        for mine in tags.values():
            if "mlflow.parentRunId" in mine:
                mine["mlflow.parentRunId"] = keys[mine["mlflow.parentRunId"]]
        return {
            keys[run]: {
                "run": row,
                "tags": tags[run],
                "params": dict(db.execute("select key, value from params where run_uuid = ?", [run])),
                "metrics": sorted(db.execute("select key, step, value, timestamp, is_nan from metrics where run_uuid = ?", [run])),
                "latest": sorted(db.execute("select key, step, value from latest_metrics where run_uuid = ?", [run])),
            }
            for run, row in found.items()
        }


def send(rows, root, database, sweep="search"):
    log = MlflowLog.open(sweep, root, f"sqlite:///{database}")
    log.send(rows)
    log.close()
    return read_back(database, sweep)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database of MLflow without experiments of ours; making one takes seconds, copying it none."""
    root = tmp_path_factory.mktemp("empty")
    MlflowLog.open("first", root).close()
    return root / "mlflow.db"


@pytest.fixture(scope="module")
def swept(tmp_path_factory, empty):
    """The search, run to its end and sent to MLflow at every event and once more at the end."""
    root = tmp_path_factory.mktemp("swept")
    (root / "report").mkdir()
    (root / "report" / "index.html").write_text("<p>best: 1</p>")
    shutil.copyfile(empty, root / "live.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY_TOKEN", CANARY)
        log = MlflowLog.open("search", root, f"sqlite:///{root}/live.db")
        population = adopted(declared("search"), root, lambda one: log.send(rows_of(one)))
        inline.run(Controller(population), Place(root, None))
        log.send(rows_of(population))
        log.close()
        yield SimpleNamespace(root=root, population=population, rows=rows_of(population), live=read_back(root / "live.db", "search"))


@pytest.fixture
def fresh(empty, tmp_path):
    return Path(shutil.copyfile(empty, tmp_path / "fresh.db"))


def of_kind(swept, kind):
    """The runs of the candidate of that kind, its own first."""
    return [run for run in swept.rows if run.params.get("kind") == kind]


def test_rows_are_a_function_of_candidates_and_store(swept, tmp_path):
    assert rows_of(swept.population) == swept.rows
    root = Path(shutil.copytree(swept.root, tmp_path / "copy"))
    population = adopted(declared("search"), root)
    inline.run(Controller(population), Place(root, None))  # tries the broken one once more, and finds the rest done
    tried = {run.key for run in of_kind(swept, "broken")} | {"search/summary"}
    assert [elsewhere(run, tried) for run in rows_of(population)] == [elsewhere(run, tried) for run in swept.rows]


def elsewhere(run, tried):
    """Rows without pictures and pages, which name the root they are read from, and without the end of what was tried again."""
    files = {name: data for name, data in run.files.items() if isinstance(data, bytes)}
    return replace(run, files=files, end=0 if run.key in tried else run.end)


def test_sending_all_along_leaves_what_sending_once_at_the_end_leaves(swept, fresh):
    once = send(swept.rows, swept.root, fresh)
    assert once == swept.live
    assert len(once) == 4 + (3 + 2) + 3 + 1  # candidates, replicates of the good one, of the others, and the summary


def test_sending_twice_is_sending_once(swept, fresh):
    once = send(swept.rows, swept.root, fresh)
    assert send(swept.rows, swept.root, fresh) == once
    log = MlflowLog.open("search", swept.root, f"sqlite:///{fresh}")
    log.sync(swept.rows)
    log.sync(swept.rows)
    log.close()
    assert read_back(fresh, "search") == once


def test_the_next_launch_passes_over_runs_that_were_sent_to_their_end(swept, fresh, monkeypatch):
    send(swept.rows, swept.root, fresh)
    log = MlflowLog.open("search", swept.root, f"sqlite:///{fresh}")
    monkeypatch.setattr(log, "client", None)  # whatever is asked of it fails
    log.send(swept.rows)
    log.close()


def test_sync_mends_what_was_lost(swept, fresh):
    once = send(swept.rows, swept.root, fresh)
    with sqlite3.connect(fresh) as db:
        db.execute("delete from metrics where key = 'train/loss'")
        db.execute("update tags set value = 'nonsense' where key = 'state'")
    assert read_back(fresh, "search") != once
    log = MlflowLog.open("search", swept.root, f"sqlite:///{fresh}")
    log.sync(swept.rows)
    log.close()
    assert read_back(fresh, "search") == once


def test_every_candidate_has_a_run_with_its_replicates_nested(swept):
    for kind, state in STATES.items():
        candidate, *replicates = of_kind(swept, kind)
        assert candidate.tags["state"] == state
        assert [run.parent for run in replicates] == [candidate.key] * len(replicates)
        assert swept.live[replicates[0].key]["tags"]["mlflow.parentRunId"] == candidate.key
        assert {run.status for run in (candidate, *replicates)} == {
            {"complete": "FINISHED", "pruned": "KILLED"}.get(state, "FAILED"),
        }
    assert [run.key.rpartition("/")[2] for run in of_kind(swept, "good")[1:]] == [f"seed-{s}" for s in (0, 1, 2, 7, 8)]
    replicate = of_kind(swept, "good")[1]
    assert {"kind": "good", "seed": "0", "phase": "search", "train.seed": "0"}.items() <= replicate.params.items()
    identity = swept.population.graph.identity(Train("good", 0))
    assert replicate.tags["stage.train"] == f"Train/{identity}"
    assert (swept.root / replicate.tags["arrays.score"]).exists()
    assert list((swept.root / "store" / "Train").glob(identity))


@pytest.mark.parametrize(("kind", "epochs", "reason"), [("slow", 2, "50 % of the schedule"), ("wild", 2, "nan in epoch 3"), ("broken", 2, "log in")])
def test_what_was_given_up_shows_its_curve_so_far_and_why(swept, kind, epochs, reason):
    candidate, replicate = of_kind(swept, kind)
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
    run = next(run for run in of_kind(swept, "good") if run.key.endswith("search/seed-2"))
    assert run.tags["nonfinite.score/odd"] == "inf at step 0"
    assert not [point for one in swept.rows for point in one.metrics if not math.isfinite(point.value)]
    assert of_kind(swept, "good")[0].tags["nonfinite.search/score/odd"] == "inf at step 3"
    assert json.loads(run.files["results.json"])["results"]["score/odd"] == "inf"


def test_a_run_has_at_most_40_keys_and_a_table_of_the_rest(swept):
    for run in swept.rows:
        assert len({point.key for point in run.metrics}) <= MOST_KEYS
    full = of_kind(swept, "good")[1]
    shown, tables = {point.key for point in full.metrics}, json.loads(full.files["results.json"])
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
    for run in of_kind(swept, "good")[1:]:
        drawn = {name: picture.png() for name, picture in run.files.items() if name.endswith(".png")}
        assert set(drawn) == (set() if "/search/" in run.key else {"figures/score.png", "figures/many.png"})
        assert all(data.startswith(b"\x89PNG") and run.files[name].png() == data for name, data in drawn.items())
    assert len(list((swept.root / "mlartifacts").rglob("score.png"))) >= 2


def test_no_secret_of_the_environment_arrives(swept):
    assert "cannot log in as ***" in of_kind_sent(swept, "broken")["tags"]["reason"]
    for path in (swept.root / "live.db", *(p for p in (swept.root / "mlartifacts").rglob("*") if p.is_file())):
        assert CANARY.encode() not in path.read_bytes()


def of_kind_sent(swept, kind):
    return next(run for run in swept.live.values() if run["params"].get("kind") == kind)


def test_a_name_that_mlflow_refuses_is_spelled_out(swept, fresh):
    (summary,) = [run for run in swept.rows if run.key == "search/summary"]
    odd = replace(summary, key="search/odd", params={"k@1": "a", "a//b": "c"}, metrics=(summary.metrics[0]._replace(key="acc %"),))
    sent = send([odd], swept.root, fresh)["search/odd"]
    assert sent["params"] == {"k_40_1": "a", "a/__/b": "c"}
    assert sent["metrics"][0][0] == "acc _25_"


def test_many_points_and_params_arrive_in_batches(swept, fresh):
    (summary,) = [run for run in swept.rows if run.key == "search/summary"]
    point = summary.metrics[0]
    many = replace(summary, metrics=tuple(point._replace(step=i, value=i / 7) for i in range(2500)), params={f"p{i}": str(i) for i in range(250)})
    sent = send([many], swept.root, fresh)["search/summary"]
    assert [value for _, _, value, *_ in sent["metrics"]] == [i / 7 for i in range(2500)]
    assert len(sent["params"]) == 250


class Unwilling:
    """A client of a store that holds nothing and takes nothing."""

    def search_runs(self, *_, **__):
        page = type("Page", (list,), {"token": None})
        return page()

    def create_run(self, *_, **__):
        raise ConnectionError("nobody there")


def test_an_error_is_told_once_and_raised_at_the_end_only(swept):
    told = []
    log = MlflowLog(Unwilling(), "1", told.append)
    for _ in range(3):
        log.send(swept.rows)
        log.drain()
    with pytest.raises(NotSent, match=r"13 runs are not in MLflow: ConnectionError: nobody there\. Run the same command again"):
        log.close()
    assert told == ["MLflow: ConnectionError: nobody there; the sweep goes on"]


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("http://example.org:5000", "must not send results over an open network"),
        ("http://someone:pass-word@127.0.0.1:5000", "must not carry a name or a password"),
        ("postgresql://someone:pass-word@db/mlflow", "must not carry a name or a password"),
        ("ftp://127.0.0.1", "must be http"),
        ("http://127.0.0.1:9", "does not answer"),
        ("sqlite:////nowhere/mlflow.db", "cannot be written"),
        ("sqlite:///{torn}", "is not a SQLite database"),
    ],
)
def test_an_address_is_refused_before_anything_is_sent(uri, rule, tmp_path):
    (tmp_path / "torn.db").write_bytes(b"not a database at all")
    with pytest.raises(UserError, match=rule) as refused:
        MlflowLog.open("search", tmp_path, uri.format(torn=tmp_path / "torn.db"))
    assert "pass-word" not in str(refused.value)
    assert str(refused.value).startswith("--mlflow = ")


def test_a_root_that_was_moved_is_refused(swept, fresh, tmp_path):
    send(swept.rows[:1], swept.root, fresh)
    with pytest.raises(UserError, match=r"keeps its files at .*Delete mlflow\.db"):
        MlflowLog.open("search", tmp_path, f"sqlite:///{fresh}")
