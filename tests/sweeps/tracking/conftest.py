"""A small search of four candidates, one good, one pruned, one diverging, one failing, run in process and sent to MLflow."""

import math
import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from matplotlib.figure import Figure

from analysis.measure import Measure
from contrast.model import Model
from contrast.stage import Diverged, Stage
from sweeps import Confirm, Sweep
from sweeps.candidate import CandidateFiles
from sweeps.controller import Controller
from sweeps.engines import inline
from sweeps.engines.worker import Place
from sweeps.mlflow_log import MlflowLog
from sweeps.mlflow_rows import run_rows, summary_rows
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
        columns = "run_uuid, r.name, status, start_time, end_time"
        query = f"select {columns} from runs r join experiments e using (experiment_id) where e.name = ?"
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


def projected(rows, root, database):
    log = MlflowLog.open("search", root, f"sqlite:///{database}")
    log.send(rows)
    log.close()
    return read_back(database, "search")


def run_again(root):
    """The rows of another launch over the same root."""
    population = adopted(declared("search"), root)
    inline.run(Controller(population), Place(root, None))
    return rows_of(population)


class Swept(SimpleNamespace):
    """The root of a finished search, its population and rows, and the runs read back from where they were sent all along."""

    def of_kind(self, kind):
        """The runs of the candidate of that kind, its own first."""
        return [run for run in self.rows if run.params.get("kind") == kind]


@pytest.fixture(scope="package")
def empty(tmp_path_factory):
    """A database of MLflow without experiments of ours; making one takes seconds, copying it none."""
    root = tmp_path_factory.mktemp("empty")
    MlflowLog.open("first", root).close()
    return root / "mlflow.db"


@pytest.fixture(scope="package")
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
        yield Swept(root=root, population=population, rows=rows_of(population), live=read_back(root / "live.db", "search"))


@pytest.fixture(scope="package")
def once(swept, empty):
    """A database to which the rows were sent once, at the end, and what is read back from it."""
    database = Path(shutil.copyfile(empty, swept.root / "once.db"))
    return SimpleNamespace(database=database, held=projected(swept.rows, swept.root, database))


@pytest.fixture
def sent(once, tmp_path):
    """A copy of that database."""
    return Path(shutil.copyfile(once.database, tmp_path / "sent.db"))


@pytest.fixture
def fresh(empty, tmp_path):
    """A copy of the empty one."""
    return Path(shutil.copyfile(empty, tmp_path / "fresh.db"))


@pytest.fixture
def send():
    """Sends rows to a database through a log of its own and reads all back."""
    return projected


@pytest.fixture
def again():
    """Runs the search again over a root and gives its rows."""
    return run_again
