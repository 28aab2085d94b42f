"""A sweep on a cluster: `ray_cluster.yaml` is one that Ray takes, and a job sent to a cluster gives the same results as anywhere."""

import json
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests import driver
from tests.driver import REPOSITORY, SMOKE
from tests.sweeps.conftest import BIN

DESCRIPTION = REPOSITORY / "ray_cluster.yaml"


def test_the_cluster_file_passes_rays_schema():
    config = yaml.safe_load(DESCRIPTION.read_text())
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    validate_config(prepare_config(config))  # as `ray up` does, with Ray's defaults


def test_the_cluster_file_opens_nothing_to_the_network():
    config = yaml.safe_load(DESCRIPTION.read_text())
    starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    starts = [line for line in starts if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "0.0.0.0" not in DESCRIPTION.read_text()


@pytest.mark.ray
@pytest.mark.slow  # a head node, a job's driver and two cold workers
@pytest.mark.timeout(900)
def test_a_submitted_job_gives_the_same_results(cluster, fresh_root, undisturbed):
    root = fresh_root("submitted")
    argv = ["job", "submit", "--address", cluster.dashboard, "--working-dir", ".", "--submission-id", "smoke", "--no-wait"]
    entry = ["python", "-m", "sweeps", "run", *SMOKE, "--root", str(root)]
    sent = subprocess.run(
        [str(BIN / "ray"), *argv, "--", *entry], env=cluster.env, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert cluster.get("/api/jobs/smoke", None)[0] == 401  # without the token
    status = json.loads(cluster.get("/api/jobs/smoke", cluster.token)[1])
    until = time.monotonic() + driver.PATIENCE
    while status["status"] in ("PENDING", "RUNNING") and time.monotonic() < until:
        time.sleep(0.5)
        status = json.loads(cluster.get("/api/jobs/smoke", cluster.token)[1])
    printed = json.loads(cluster.get("/api/jobs/smoke/logs", cluster.token)[1])["logs"]
    assert status["status"] == "SUCCEEDED", printed
    assert driver.results(root) == driver.results(undisturbed)
    assert driver.tables(printed) == driver.tables((undisturbed / "printed.txt").read_text())
    units = json.loads((root / "sweeps" / "quickstart-smoke" / "launch.json").read_text())["units"]
    assert sorted({tuple(sorted(unit)) for unit in units}) == [
        ("Accuracy", "FGSM", "Finetune", "PGD", "Progress"), ("KNN", "Pretrain"), ("Landscape",)
    ]  # fmt: skip
    assert len(units) == 3 * 6
