"""MLflow shows what the store holds, no more and no less: rows are sent to a real SQLite store and read back with SQL.

The laws are equalities of whole databases, with run ids replaced by our keys.
"""

import sqlite3
from dataclasses import replace

import pytest

from contrast.component import UserError
from sweeps.mlflow_log import MlflowLog, NotSent

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]


def test_sending_all_along_leaves_what_sending_once_at_the_end_leaves(swept, once):
    assert once.held == swept.live
    assert len(once.held) == 4 + (3 + 2) + 3 + 1  # candidates, replicates of the good one, of the others, and the summary


def test_sending_twice_is_sending_once(swept, once, sent, send):
    log = MlflowLog.open("search", swept.root, f"sqlite:///{sent}")
    log.sync(swept.rows)
    log.send(swept.rows)
    log.close()
    assert send([], swept.root, sent) == once.held


def test_the_next_launch_passes_over_runs_that_were_sent_to_their_end(swept, sent, monkeypatch):
    log = MlflowLog.open("search", swept.root, f"sqlite:///{sent}")
    monkeypatch.setattr(log, "client", None)  # whatever is asked of it fails
    log.send(swept.rows)
    log.close()


def test_what_was_cut_off_or_lost_is_sent_again(swept, once, sent, send):
    with sqlite3.connect(sent) as db:
        db.execute("update runs set status = 'RUNNING' where name = '00000'")
        db.execute(
            "delete from tags where key like 'stage.%' and run_uuid in (select run_uuid from runs where name = '00000 search seed 0')"
        )
        db.execute("update runs set status = 'RUNNING' where name = '00000 search seed 0'")
    assert send(swept.rows, swept.root, sent) == once.held
    with sqlite3.connect(sent) as db:
        db.execute("delete from metrics where key = 'train/loss'")
        db.execute("update tags set value = 'nonsense' where key = 'state'")
    log = MlflowLog.open("search", swept.root, f"sqlite:///{sent}")
    log.sync(swept.rows)
    log.close()
    assert send([], swept.root, sent) == once.held


def test_no_secret_of_the_environment_arrives(swept):
    broken = swept.of_kind("broken")[1].key
    assert "cannot log in as ***" in swept.live[broken]["tags"]["reason"]
    for path in (swept.root / "live.db", *(p for p in (swept.root / "mlartifacts").rglob("*") if p.is_file())):
        assert b"canary-7f3a9c51" not in path.read_bytes()


def test_odd_names_are_spelled_out_and_long_rows_arrive_in_batches(swept, fresh, send):
    (summary,) = [run for run in swept.rows if run.key == "search/summary"]
    point = summary.metrics[0]
    points = tuple(point._replace(key="acc %", step=i, value=i / 7) for i in range(1700))
    rows = replace(summary, params={"k@1": "a", "a//b": "c"} | {f"p{i}": str(i) for i in range(250)}, metrics=points, files={})
    sent = send([rows], swept.root, fresh)["search/summary"]
    assert [(key, step, value) for key, step, value, *_ in sent["metrics"]] == [("acc _25_", i, i / 7) for i in range(1700)]
    assert sent["params"] == {"k_40_1": "a", "a/__/b": "c"} | {f"p{i}": str(i) for i in range(250)}


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


def test_a_root_that_was_moved_is_refused(sent, tmp_path):
    with pytest.raises(UserError, match=r"keeps its files at .*Delete mlflow\.db"):
        MlflowLog.open("search", tmp_path, f"sqlite:///{sent}")


def test_a_database_whose_disk_is_full_is_told_in_one_message(tmp_path, monkeypatch):
    import mlflow
    from sqlalchemy.exc import OperationalError

    def refused(*_, **__):
        raise OperationalError("PRAGMA", {}, Exception("disk I/O error"))

    monkeypatch.setattr(mlflow, "MlflowClient", refused)
    with pytest.raises(UserError, match=r"--mlflow = .*mlflow.db': the database fails \(.*disk I/O error.* has room"):
        MlflowLog.open("full", tmp_path)
