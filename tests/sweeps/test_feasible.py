"""What no node of a cluster can ever grant is told before anything runs, with what each node has."""

import re
from dataclasses import replace

import pytest

from contrast import UserError
from sweeps import Resources, Sweep, main
from sweeps.engines import cluster
from sweeps.resources import cores_only, declared, parsed
from tests.world import Score, Train

UNITS = [Train(0.5, 0), Score(Train(0.5, 0))]
THERE = {"10.0.0.1 (aaaaaa)": {"CPU": 8.0, "GPU": 2.0}, "10.0.0.2 (bbbbbb)": {"CPU": 64.0}}


@pytest.mark.parametrize(
    ("option", "missing"),
    [
        ("Train=gpu:2,cpu:8", {}),
        ("Train=gpu:0.5", {}),
        ("Train=cpu:64", {}),
        ("Train=gpu:3", {"Train": Resources(1, 3)}),
        ("Train=gpu:1,cpu:9", {"Train": Resources(9, 1)}),  # the cores of one node and the GPU of another are no node
        ("Score=cpu:65", {"Score": Resources(65, 0)}),
    ],
)
def test_a_unit_fits_where_one_node_has_all_of_it(option, missing):
    assert cluster.infeasible(UNITS, parsed([option], cores_only), THERE) == missing


def test_every_node_is_named_with_what_it_has():
    assert cluster.described(THERE) == "10.0.0.1 (aaaaaa) cpu:8 gpu:2; 10.0.0.2 (bbbbbb) cpu:64 gpu:0"
    many = {f"10.0.0.{n}": {"CPU": 4.0} for n in range(20)}
    assert cluster.described(many).endswith("; and 12 more")
    assert cluster.described({}) == "none"


@pytest.mark.parametrize("wrong", [{"cpus": 0.5}, {"gpus": -1}, {"gpus": 1.5}, {"cpus": float("nan")}, {"cpus": "2"}])
def test_amounts_that_no_node_can_grant_are_refused(wrong):
    with pytest.raises(UserError, match=r"Resources\.[cg]pus = "):
        replace(Resources(), **wrong)


def test_resources_are_a_function_of_the_stage_and_options_go_before_it():
    by_value = declared(lambda stage: Resources(cpus=8, gpus=4) if isinstance(stage, Train) and stage.epochs > 100 else Resources())
    resources = parsed(["Score=cpu:2"], by_value)
    assert [resources(Train(0.5, 0, epochs)) for epochs in (4, 200)] == [Resources(1, 0), Resources(8, 4)]
    assert resources(UNITS[1]) == Resources(2, 0)


def test_what_a_function_of_resources_does_wrong_is_told_as_that():
    with pytest.raises(UserError, match=r"resources\(Train\(\.\.\.\)\) = 3: must be a Resources"):
        declared(lambda stage: 3)(UNITS[0])
    with pytest.raises(UserError, match=r"resources: ZeroDivisionError in <lambda>"):
        declared(lambda stage: 1 / 0)(UNITS[0])
    with pytest.raises(UserError, match=r"main\(resources=4\): must be a function"):
        main(Sweep("one", lambda trial, seed, phase: {"score": UNITS[1]}), ["plan"], resources=4)


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_gpu_that_is_not_there_is_refused_with_what_the_cluster_has(cluster_run):
    found = cluster_run.result()
    code, text = found.refused
    assert code == 2, text
    assert "no node of the cluster has what is asked for Pretrain (cpu:1 gpu:1)" in text
    assert re.search(r"\S+ \([0-9a-f]{6}\) cpu:1 gpu:0", text)
    assert not list(found.roots["refused"].glob("store/*/*"))
