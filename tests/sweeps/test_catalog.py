"""The comparison of the catalogue from end to end, on digits: shared encoders, paired differences, and a picture of each kind."""

import json
import re
from collections import Counter, defaultdict
from dataclasses import fields, replace

import numpy as np
import optuna
import pytest
from PIL import Image

import analysis
from analysis import AutoAttack, ClassIoU, FeatureSuppression, LeftOut, MeanAveragePrecision, Measure, Segmentation
from contrast import PACS
from search_spaces.fine_tuning import METHODS as TUNING_METHODS
from search_spaces.pretraining import LOSSES, METHODS
from sweeps.catalog.every_measure import every_measure
from sweeps.catalog.pretraining import pretraining
from sweeps.sweep import Run
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
    for name in ("arrays.npz", "weights.safetensors"):  # the gallery needs the former of measures, and no network
        for stored in (root / "store").glob(f"*/*/*/{name}"):
            if stored.parts[-4] in ("Pretrain", "Untrained", "Finetune"):
                stored.unlink()
    drawn = command("gallery", "--root", root, pictures=True)
    assert drawn.code == 0, drawn.err
    gallery = (root / "reports" / "gallery" / "index.html").read_text()
    for name in FIGURES:
        assert f"figures/to_contrast-smoke-{name}.svg" in gallery
        assert (root / "reports" / "gallery" / "figures" / f"to_contrast-smoke-{name}.csv").stat().st_size > 100


def test_a_gallery_of_nothing_says_what_to_do(fresh_root):
    ended = command("gallery", "--root", fresh_root("empty"))
    assert ended.code == 2
    assert "has no sweep, so there is nothing to draw. Name the --root of a run." in ended.err


def test_a_gallery_of_sweeps_of_scripts_says_that_these_draw_them(fresh_root):
    root = fresh_root("scripts")
    for name in ("mine", "yours"):
        (root / "sweeps" / name).mkdir(parents=True)
    ended = command("gallery", "--root", root)
    assert ended.code == 2
    said = ended.err.replace("\n", " ")
    assert "has sweeps that are declared in scripts of their own (mine, yours), which draw them." in said
    assert f"Run python <script>.py gallery --root {root}." in said


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
        ("adversarial_tuning", {"Pretrain": 1, "Finetune": 4, "Accuracy": 4, "PGD": 4}),
    ],
)
def test_the_smoke_fine_tunings_share_encoders_and_are_compared_by_seed(fresh_root, name, stages):
    root = fresh_root(name)
    ended = command("run", name, "--preset", "smoke", "--seeds", "0", "--engine", "inline", "--root", root)
    assert ended.code == 0, ended.err
    assert Counter(record.stage for record in driver.records(root).values()) == stages
    assert re.search(r"Differences to (ce|supervised), paired by seed", ended.out)


def test_every_domain_is_left_out_once_and_counts_once_in_the_mean(fresh_root, tmp_path):
    """Of other sizes; the table's mean is that of the four accuracies that the store holds."""
    rng, sizes = np.random.default_rng(0), dict(zip(PACS.domain_names, (1, 2, 3, 1), strict=True))
    for domain, count in sizes.items():
        for name in "abcdefg":
            folder = tmp_path / "PACS" / domain / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    options = ("--preset", "smoke", "--seeds", "0", "--engine", "inline", "--data", tmp_path, "--root", fresh_root("domains"))
    ended = command("run", "left_out_domains", *options)
    assert ended.code == 0, ended.err
    records = driver.records(options[-1]).values()
    assert Counter(record.stage for record in records) == {"Untrained": 2, "Finetune": 16, "Accuracy": 16, "LeftOut": 4}
    found = defaultdict(dict)
    for record in records:
        if record.stage == "Accuracy":
            tuned, on = record.value["fields"]["of"]["fields"], record.value["fields"]["on"]["fields"]
            assert on["part"] == "test"
            assert tuned["data"]["fields"] == {"target": on["target"], "side": 16, "part": "whole"}
            method = (tuned.get("method", {}).get("class"), tuned["of"]["fields"]["seed"])
            found[method][on["target"]] = record.results["accuracy"]
    assert {tuple(sorted(accuracies)) for accuracies in found.values()} == {PACS.domain_names}
    mean = sum(found["CoreTuning", 0].values()) / 4
    summed = {record.results["average"]: record.results["worst"] for record in records if record.stage == "LeftOut"}
    assert summed[mean] == min(found["CoreTuning", 0].values())
    assert re.search(rf"PACS \(mean of 4\) +core +{mean:.1f}", ended.out), ended.out


def test_methods_of_the_table_differ_in_nothing_but_the_method():
    space = pretraining("mini").space
    first, *others = (space.encoded(method, space.data, 0) for method in LOSSES)
    for other in others:
        assert replace(other, loss=first.loss) == first
    moco = space.encoded("moco", space.data, 0)
    shared = {field.name for field in fields(first)} & {field.name for field in fields(moco)}
    assert {name: getattr(moco, name) for name in shared} == {name: getattr(first, name) for name in shared}
    assert space.encoded("random", space.data, 0).encoder == first.encoder


def test_every_measure_is_in_the_sweep_of_every_measure():
    sweep = every_measure("smoke")
    runs = [
        Run(method, {}, seed, sweep.space(optuna.trial.FixedTrial({}), seed, "confirm", method))
        for method in sweep.arms["method"]
        for seed in (0, 10)
    ]
    stages = [stage for run in runs for stage in run.stages.values()] + list(sweep.across(runs).values())
    exported = {kind for kind in vars(analysis).values() if isinstance(kind, type) and issubclass(kind, Measure)}
    other_data = {LeftOut, FeatureSuppression, MeanAveragePrecision, Segmentation, ClassIoU}
    assert exported - {type(stage) for stage in stages} - {Measure} == other_data | {AutoAttack}, "which needs an extra, and hours"
