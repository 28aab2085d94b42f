"""Runs of the command line that tests read.

Those through Ray take most of a test session, and mostly wait for something. They begin with the session, as far as one of the
chosen tests reads them, three at a time beside the tests in this process; those that read them come last, and wait for them.
"""

import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import driver, terminal
from tests.chaos.kill import Killed, after, strike, the_driver
from tests.cluster import head
from tests.driver import REPOSITORY, SMOKE, Driver, command

RUNS = ("nodes_run", "killed_run", "job_run", "cluster_run", "story_run", "together_run")
SCRIPTS = ("methods", "own_parts")
LINES = 90  # an undisturbed run prints a few less before its tables
Fresh = Callable[[str], Path]


@pytest.fixture(scope="session")
def fresh_root(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Makes new roots. Their MLflow database has its tables and nothing else, since making them takes seconds."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()

    def fresh(name: str) -> Path:
        root = tmp_path_factory.mktemp(name)
        shutil.copyfile(database, root / "mlflow.db")
        return root

    return fresh


@pytest.fixture(scope="session")
def undisturbed(fresh_root: Fresh) -> Path:
    """The root of a smoke quickstart that ran in this process from beginning to end, with what it printed."""
    root = fresh_root("undisturbed")
    ended = command("run", *SMOKE, "--engine", "inline", "--root", root)
    assert ended.code == 0, ended.err
    (root / "printed.txt").write_text(ended.out, encoding="utf-8")
    return root


@pytest.fixture(scope="session", autouse=True)
def _runs_begin(request: pytest.FixtureRequest, _cache_of_the_session: None) -> None:
    """Begin, in order, the runs that the chosen tests read."""
    read = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in RUNS:
        if name in read:
            request.getfixturevalue(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that read runs come last, in the order in which these begin."""
    items.sort(key=lambda item: max((RUNS.index(name) + 1 for name in getattr(item, "fixturenames", ()) if name in RUNS), default=0))


@pytest.fixture(scope="session")
def beside() -> Iterator[ThreadPoolExecutor]:
    """Where runs run; what still runs at the end of the session is ended."""
    pool = ThreadPoolExecutor(3)
    yield pool
    pool.shutdown(wait=False, cancel_futures=True)
    driver.end_all()


@dataclass(frozen=True)
class Strike:
    """A killed driver, its root, and when it was killed."""

    root: Path
    killed: Killed
    seed: int
    moment: tuple[int, float]


@pytest.fixture(scope="session")
def killed_run(beside: ThreadPoolExecutor, fresh_root: Fresh) -> "Future[Strike]":
    """A smoke quickstart whose driver is killed at a random moment."""
    seed = secrets.randbelow(1 << 31)
    rng = random.Random(seed)
    moment = rng.randrange(LINES), rng.uniform(0, 1)
    root, env = fresh_root("killed"), dict(os.environ)
    return beside.submit(lambda: Strike(root, strike(root, after(*moment), the_driver, env), seed, moment))


@dataclass(frozen=True)
class Job:
    """A finished run: its root, what it printed, and what was committed when its worker was killed."""

    root: Path
    printed: str
    committed: dict[str, tuple[int, str]]


@pytest.fixture(scope="session")
def job_run(beside: ThreadPoolExecutor, fresh_root: Fresh) -> "Future[Job]":
    """A smoke quickstart whose worker is killed as soon as a pretraining has its first epoch."""
    return beside.submit(_job, fresh_root("job"), dict(os.environ))


def _job(root: Path, env: Mapping[str, str]) -> Job:
    with Driver("-m", "sweeps", "run", *SMOKE, "--slots", 2, "--root", root, env=env) as run:
        run.wait_for(r"Pretrain epoch 1/2")
        committed = driver.committed(root)
        until = time.monotonic() + driver.PATIENCE
        while not (training := [worker for worker in run.workers() if driver.title(worker).endswith(".train")]):
            assert time.monotonic() < until, "no worker trains"
        driver.kill(training[0])
        assert run.ended() == 0, run.text
    return Job(root, run.text, committed)


@dataclass(frozen=True)
class OnCluster:
    """What came of a submitted job and of scripts that joined a cluster: their roots, and what the dashboard says of the job.

    `refused` is the exit code and the text of a run that asked for a GPU, which this cluster has not.
    """

    roots: dict[str, Path]
    status: str
    printed: str
    without_token: int
    refused: tuple[int, str]


@pytest.fixture(scope="session")
def cluster_run(beside: ThreadPoolExecutor, fresh_root: Fresh, tmp_path_factory: pytest.TempPathFactory) -> "Future[OnCluster]":
    """A smoke quickstart sent as a job, and each script from a folder outside the package, at once on one cluster."""
    roots = {name: fresh_root(f"{name}-on-ray") for name in ("submitted", "refused", *SCRIPTS)}
    return beside.submit(_on_cluster, roots, tmp_path_factory.mktemp("scripts"), dict(os.environ))


def _on_cluster(roots: dict[str, Path], folder: Path, env: Mapping[str, str]) -> OnCluster:
    with head(env) as cluster, ExitStack() as scripts:
        cluster.submit("smoke", "python", "-m", "sweeps", "run", *SMOKE, "--root", str(roots["submitted"]))
        joined = dict(env) | {name: cluster.env[name] for name in ("HOME", "RAY_AUTH_MODE")} | {"RAY_ADDRESS": cluster.address}
        runs = []
        for name in SCRIPTS:
            shutil.copy(REPOSITORY / "tests" / "scripts" / f"{name}.py", folder)
            runs.append(scripts.enter_context(Driver(f"{name}.py", "run", "--root", roots[name], cwd=folder, env=joined)))
        for run in runs:
            assert run.ended() == 0, run.text
        asks = ("-m", "sweeps", "run", *SMOKE, "--resources", "Pretrain=gpu:1", "--root", roots["refused"])
        refused = scripts.enter_context(Driver(*asks, env=joined))
        ended = refused.ended(), refused.text
        return OnCluster(roots, cluster.ended("smoke"), cluster.logs("smoke"), cluster.get("/api/jobs/smoke", None)[0], ended)


@pytest.fixture(scope="session")
def story_run(beside: ThreadPoolExecutor, fresh_root: Fresh) -> "Future[terminal.Story]":
    """A run on a terminal that is left with Ctrl-C."""
    return beside.submit(terminal.tell, fresh_root("terminal"), dict(os.environ))


@pytest.fixture(scope="session")
def nodes_run(beside: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> "Future[dict[str, Any]]":
    """What becomes of a sweep on two nodes of which one loses its units."""
    root, env = tmp_path_factory.mktemp("nodes"), {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return beside.submit(_on_two_nodes, root, env)


def _on_two_nodes(root: Path, env: Mapping[str, str]) -> dict[str, Any]:
    with Driver("-m", "tests.scripts.two_nodes", root, env=env) as run:
        assert run.ended() == 0, run.text
    found: dict[str, Any] = json.loads(next(line for line in run.lines if line.startswith("{")))
    return found


@pytest.fixture(scope="session")
def together_run(beside: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> "Future[Path]":
    """The folder of what three processes of `tests/contrast/test_distributed.py` compute together."""
    return beside.submit(_together, tmp_path_factory.mktemp("together"))


def _together(folder: Path, size: int = 3) -> Path:
    argv = [sys.executable, "-m", "tests.contrast.test_distributed"]
    with ExitStack() as ending:
        running = [subprocess.Popen([*argv, str(rank), str(folder)], cwd=REPOSITORY) for rank in range(size)]
        for one in running:
            ending.callback(one.wait)
            ending.callback(one.kill)
        assert [one.wait(driver.PATIENCE) for one in running] == [0] * size
    return folder
