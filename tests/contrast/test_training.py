"""Training is a function of its stage alone: not of when it was cut off, of who watches it, or of what was measured after it.

Runs are cut off by closing the generator after an epoch, and go on in a copy of the attempt's folder, as a new worker would.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from contrast import (
    SGD,
    Classifier,
    ContrastiveInputGradient,
    CropFlip,
    CropViews,
    CrossEntropy,
    Digits,
    Diverged,
    Finetune,
    GeneralizedContrastive,
    InputGradient,
    MLPHead,
    NTXent,
    Pretrain,
    SmallResNet,
    SupCon,
    Untrained,
    UserError,
    Workspace,
)
from contrast.model import Artefact
from contrast.stage import extract
from sweeps.fingerprint import fingerprint

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "curve.json"
DATA = Digits(per_class=16)
LOSSES = {
    "simclr": {"loss": NTXent(0.2)},
    "supcon": {"loss": SupCon(0.2)},
    "generalized": {"loss": GeneralizedContrastive(0.2, 0.01, scale=64.0)},
    "penalised": {"loss": NTXent(0.2), "penalty": ContrastiveInputGradient(0.1)},
    "supce": {"loss": CrossEntropy(), "views": CropFlip(), "head": Classifier()},
    "supce penalised": {"loss": CrossEntropy(), "views": CropFlip(), "head": Classifier(), "penalty": InputGradient(0.1)},
}


def pretraining(epochs=3, **fields):
    values = {
        "data": DATA,
        "encoder": SmallResNet(2),
        "views": CropViews(),
        "head": MLPHead(2, out=16),
        "batch_size": 64,
        "epochs": epochs,
        "seed": 0,
        "optimizer": SGD(lr=0.1),
        "loss": NTXent(0.2),
    }
    return Pretrain(**(values | fields))


def run(stage, folder, resolve=None, epochs=None, monitor=None):
    """Run a stage to its end, or for so many epochs; returns the curve, and the results if it ended."""
    folder.mkdir(exist_ok=True)
    workspace = Workspace(folder, resolve or (lambda stage: None), monitor=monitor)
    running, curve = stage.run(workspace), []
    while epochs is None or len(curve) < epochs:
        try:
            curve.append(next(running))
        except StopIteration as stop:
            return curve, stop.value
    running.close()
    return curve, None


def weights(folder):
    return Artefact(folder, {}).weights()


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def cut_and_resumed(stage, tmp_path, after, resolve=None):
    run(stage, tmp_path / "cut", resolve, epochs=after)
    resumed = tmp_path / "resumed"
    resumed.mkdir()
    for name in ("curve.jsonl", "state.safetensors"):
        shutil.copyfile(tmp_path / "cut" / name, resumed / name)
    return resumed, *run(stage, resumed, resolve)


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("method", LOSSES)
def test_a_pretraining_that_was_cut_off_ends_equal_to_the_last_bit(method, after, tmp_path):
    stage = pretraining(**LOSSES[method])
    curve, results = run(stage, tmp_path / "whole")
    resumed, rest, resumed_results = cut_and_resumed(stage, tmp_path, after)
    assert rest == curve[after:]
    assert resumed_results == results
    assert equal(weights(resumed), weights(tmp_path / "whole"))
    assert (resumed / "curve.jsonl").read_text() == (tmp_path / "whole" / "curve.jsonl").read_text()


@pytest.fixture
def pretrained(tmp_path):
    """A pretraining's artefact, and how to find it."""
    stage = pretraining(epochs=1)
    run(stage, tmp_path / "encoder")
    return stage, lambda wanted: Artefact(tmp_path / "encoder", {})


@pytest.mark.parametrize("after", [1, 4])
def test_a_fine_tuning_that_was_cut_off_ends_equal_to_the_last_bit(pretrained, after, tmp_path):
    encoder, resolve = pretrained
    stage = Finetune(encoder, data=DATA, seed=0, epochs=4)
    run(stage, tmp_path / "whole", resolve)
    resumed, *_ = cut_and_resumed(stage, tmp_path, after, resolve)
    first, second = (Artefact(folder, {}).arrays() for folder in (tmp_path / "whole", resumed))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_fine_tuning_leaves_the_encoder_as_it_was(pretrained, tmp_path):
    encoder, resolve = pretrained
    workspace = Workspace(tmp_path / "tuned", resolve)
    net = workspace.model(encoder).net
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    (tmp_path / "tuned").mkdir()
    for _ in Finetune(encoder, data=DATA, seed=0, epochs=3).run(workspace):
        pass
    assert equal(before, net.state_dict())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_the_kept_trajectory_is_that_of_the_kept_heads(pretrained, tmp_path):
    encoder, resolve = pretrained
    stage = Finetune(encoder, data=DATA, seed=0, epochs=2)
    run(stage, tmp_path / "tuned", resolve)
    kept = Artefact(tmp_path / "tuned", {}).arrays()
    workspace = Workspace(tmp_path / "tuned", lambda wanted: Artefact(tmp_path / ("tuned" if wanted == stage else "encoder"), {}))
    features = extract(workspace.model(stage).net, DATA.load(None).pixels, torch.device("cpu"))
    heads = zip(torch.from_numpy(kept["head_weight"]), torch.from_numpy(kept["head_bias"]), strict=True)
    for epoch, (weight, bias) in enumerate(heads):
        expected = torch.log_softmax(features @ weight.T + bias, -1)
        assert torch.allclose(torch.from_numpy(kept["log_probs"][epoch]), expected, atol=1e-5)
    assert len(kept["log_probs"]) == 3


def test_no_linear_classifier_beats_the_convex_bound(pretrained, tmp_path):
    encoder, resolve = pretrained
    stage = Finetune(encoder, data=DATA, seed=0, epochs=30)
    _, results = run(stage, tmp_path / "tuned", resolve)
    workspace = Workspace(tmp_path / "tuned", resolve)
    net = workspace.model(encoder).net
    features = extract(net, DATA.load(None).pixels, torch.device("cpu")).double().numpy()
    labels = DATA.load(None).labels
    best = LogisticRegression(C=1e6, max_iter=2000).fit(features, labels)
    bound = -best.predict_log_proba(features)[np.arange(len(labels)), labels].mean()
    assert results["loss"] >= bound - 1e-4


def test_methods_of_one_seed_start_from_one_encoder(tmp_path):
    run(Untrained(data=DATA, encoder=SmallResNet(2), seed=7), tmp_path / "untrained")
    for name in ("simclr", "supce"):
        still = pretraining(epochs=1, seed=7, **LOSSES[name] | {"optimizer": SGD(lr=1e-12, weight_decay=0.0)})
        run(still, tmp_path / name)
        for key, tensor in weights(tmp_path / "untrained").items():
            if key.startswith("encoder.") and tensor.is_floating_point() and "running" not in key:
                assert torch.allclose(weights(tmp_path / name)[key], tensor, atol=1e-6)


def test_a_monitor_sees_every_twentieth_and_disturbs_nothing(tmp_path):
    seen = []

    def monitor(model):
        seen.append(float(model.net.features(torch.rand(2, *DATA.shape, generator=torch.Generator().manual_seed(0))).sum()))
        return {"monitor": seen[-1]}

    stage = pretraining(epochs=40, data=Digits(per_class=4), batch_size=20)
    plain, _ = run(stage, tmp_path / "plain")
    watched, _ = run(stage, tmp_path / "watched", monitor=monitor)
    assert len(seen) == 20
    assert [epoch for epoch, metrics in enumerate(watched, 1) if "monitor" in metrics] == list(range(2, 41, 2))
    assert equal(weights(tmp_path / "plain"), weights(tmp_path / "watched"))
    assert [metrics["loss"] for metrics in plain] == [metrics["loss"] for metrics in watched]


def test_a_loss_that_is_not_finite_is_a_divergence(tmp_path):
    with pytest.raises(Diverged, match="epoch"):
        run(pretraining(optimizer=SGD(lr=1e30)), tmp_path / "wild")


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(UserError, match=r"batch_size = 64: is larger than the data \(30 images\)"):
        pretraining().check(lambda dataset: 30)


def test_a_penalty_of_weight_zero_is_none():
    assert fingerprint(pretraining(penalty=ContrastiveInputGradient(0.0))) == fingerprint(pretraining())


@pytest.mark.parametrize("fields", [{"penalty": InputGradient(1.0)}, {**LOSSES["supce"], "penalty": ContrastiveInputGradient(1.0)}])
def test_a_penalty_refuses_the_other_loss(fields):
    with pytest.raises(UserError, match="penalty"):
        pretraining(**fields)


@pytest.mark.parametrize(
    "fields",
    [{"views": CropFlip()}, {"head": Classifier()}, {"views": CropViews(3), "loss": GeneralizedContrastive(0.1, 0.1)}, {"batch_size": 1}],
)
def test_parts_that_do_not_fit_are_refused(fields):
    with pytest.raises(UserError):
        pretraining(**fields)


def test_bfloat16_trains_near_float32(tmp_path):
    full, _ = run(pretraining(), tmp_path / "full")
    half, _ = run(pretraining(precision="bf16"), tmp_path / "half")
    assert half[-1]["loss"] != full[-1]["loss"]
    assert half[-1]["loss"] == pytest.approx(full[-1]["loss"], rel=0.05)


def golden_curve(folder):
    curve, results = run(pretraining(encoder=SmallResNet(4)), folder)
    return {"curve": curve, "results": results}


def test_the_golden_curve_is_what_training_gives(tmp_path):
    frozen = json.loads(GOLDEN.read_text(encoding="utf-8"))
    found = golden_curve(tmp_path / "golden")
    for before, now in zip(frozen["curve"], found["curve"], strict=True):
        assert now == pytest.approx(before, rel=1e-6)
    assert found["results"] == pytest.approx(frozen["results"], rel=1e-6)


if __name__ == "__main__":  # freeze the curve again after a wanted change: python tests/contrast/test_training.py
    import tempfile

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(json.dumps(golden_curve(Path(folder) / "golden"), indent=1) + "\n", encoding="utf-8")
