"""The comparison of the catalogue from end to end, on digits: shared encoders, paired differences, and a picture of each kind."""

import json
import re
from collections import Counter
from dataclasses import fields, replace

import pytest

from search_spaces.fine_tuning import METHODS as TUNING_METHODS
from search_spaces.pretraining import LOSSES, METHODS
from sweeps.catalog.pretraining import pretraining
from tests import driver
from tests.driver import command

FIGURES = {"accuracy": "Table 1", "flatness": "contours", "inpca": "trajectories", "progress": "progress", "fgsm": "robustness"}


@pytest.mark.timeout(600)
def test_the_smoke_comparison_shares_encoders_and_draws_every_figure(fresh_root, monkeypatch):
    monkeypatch.setattr("sweeps.picture.Picture.png", lambda self: None)  # those of the report are enough here
    root = fresh_root("comparison")
    ended = command("run", "to_contrast", "--preset", "smoke", "--engine", "inline", "--root", root, pictures=True)
    assert ended.code == 0, ended.err
    stages = [record.stage for record in driver.records(root).values()]
    counted = {stage: stages.count(stage) for stage in ("Pretrain", "Untrained", "Finetune", "Landscape", "InPCA")}
    assert counted == {"Pretrain": 6, "Untrained": 2, "Finetune": 16, "Landscape": 8, "InPCA": 2}
    assert "Differences to random, paired by seed" in ended.out
    for method in ("simclr", "supcon", "supce"):
        assert re.search(rf"accuracy \(mean of 2\) +{method} +.* ± .* \(2\) +\S+ ± ", ended.out)
    page = root / "reports" / "to_contrast-smoke" / "index.html"
    for name in FIGURES:
        for kind in ("svg", "pdf", "png"):
            assert (page.parent / "figures" / f"{name}.{kind}").stat().st_size > 1000
        assert f"figures/{name}.svg" in page.read_text()
    status = json.loads(command("status", "to_contrast", "--preset", "smoke", "--json", "--root", root).out)
    assert status["finished"]
    assert status["candidates"] == {"complete": 4}
    assert status["last_launch"]["computed"] == len(stages)


def test_the_smoke_pretrainings_are_compared_with_the_encoder_as_it_was_initialised(fresh_root):
    root = fresh_root("pretraining")
    ended = command("run", "pretraining", "--preset", "smoke", "--seeds", "0", "--engine", "inline", "--root", root)
    assert ended.code == 0, ended.err
    records = driver.records(root).values()
    assert Counter(record.stage for record in records) == {"Pretrain": 5, "MoCo": 1, "Untrained": 1, "KNN": 7, "LinearProbe": 7}
    assert {record.outcome for record in records} == {"complete"}
    assert "Differences to random, paired by seed" in ended.out
    for metric in ("knn", "linear"):
        for method in METHODS[:-1]:
            assert re.search(rf"{metric} +{method} +\S+ \(1\) +\S+ \(1\)", ended.out), (metric, method)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("fine_tuning", {"Pretrain": 2, "Finetune": len(TUNING_METHODS), "Accuracy": len(TUNING_METHODS)}),
        ("label_fractions", {"Pretrain": 1, "Untrained": 1, "Finetune": 6, "Accuracy": 6}),
    ],
)
def test_the_smoke_fine_tunings_share_encoders_and_are_compared_by_seed(fresh_root, name, stages):
    root = fresh_root(name)
    ended = command("run", name, "--preset", "smoke", "--seeds", "0", "--engine", "inline", "--root", root)
    assert ended.code == 0, ended.err
    assert Counter(record.stage for record in driver.records(root).values()) == stages
    assert re.search(r"Differences to (ce|supervised), paired by seed", ended.out)


def test_methods_of_the_table_differ_in_nothing_but_the_method():
    space = pretraining("mini").space
    first, *others = (space.encoded(method, space.data, 0) for method in LOSSES)
    for other in others:
        assert replace(other, loss=first.loss) == first
    moco = space.encoded("moco", space.data, 0)
    shared = {field.name for field in fields(first)} & {field.name for field in fields(moco)}
    assert {name: getattr(moco, name) for name in shared} == {name: getattr(first, name) for name in shared}
    assert space.encoded("random", space.data, 0).encoder == first.encoder
