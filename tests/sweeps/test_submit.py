"""A sweep on a cluster: `ray_cluster.yaml` is one that Ray takes, and a job sent to a cluster gives the same results as anywhere."""

import json
from pathlib import Path

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests import driver
from tests.driver import REPOSITORY

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


@pytest.fixture(scope="module")
def on_cluster(cluster_run):
    return cluster_run.result()


@pytest.mark.ray
@pytest.mark.slow  # a head node, a job's driver and a cold worker
@pytest.mark.timeout(900)
def test_a_submitted_job_gives_the_same_results(on_cluster, undisturbed):
    assert on_cluster.status == "SUCCEEDED", on_cluster.printed
    root = on_cluster.roots["submitted"]
    assert driver.results(root) == driver.results(undisturbed)
    assert driver.tables(on_cluster.printed) == driver.tables((undisturbed / "printed.txt").read_text())
    units = json.loads((root / "sweeps" / "quickstart-smoke" / "launch.json").read_text())["units"]
    kinds = {tuple(sorted(unit)) for unit in units}
    assert kinds == {("KNN", "Pretrain"), ("Accuracy", "FGSM", "Finetune", "PGD", "Progress"), ("Landscape",)}
    assert len(units) == 3 * 6


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_job_is_not_shown_without_the_token(on_cluster):
    assert on_cluster.without_token == 401
