"""MLflow's database is whole or not there, whoever begins at the same time and whenever one is killed."""

import os
import shutil

import pytest
from mlflow import MlflowClient

from sweeps.mlflow_store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_a_driver_that_is_killed_while_tables_are_made_leaves_no_database(tmp_path, monkeypatch):
    def killed(client):
        raise KeyboardInterrupt

    monkeypatch.setattr(MlflowClient, "search_experiments", killed)
    with pytest.raises(KeyboardInterrupt):
        open_store("sweep", tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_of_two_drivers_that_begin_at_once_both_use_the_database_of_the_faster(tmp_path, fresh_root, monkeypatch):
    made = fresh_root("faster") / "mlflow.db"
    link = os.link

    def meanwhile(draft, database):
        shutil.copyfile(made, database)
        link(draft, database)

    monkeypatch.setattr("os.link", meanwhile)
    client, experiment = open_store("sweep", tmp_path, None)
    assert client.get_experiment(experiment).name == "sweep"
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
