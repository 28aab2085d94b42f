"""Weights from outside are the network that was saved, to the last feature, or they are refused; nothing in a file is run.

Small residual networks of torchvision's are saved in each published layout, with all that such a file holds beside them.
Their own forward pass is the oracle.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet50
from torchvision.models.resnet import BasicBlock

from analysis import KNN, Accuracy
from contrast import (
    Digits,
    Finetune,
    LogisticRegression,
    OwnKeys,
    ResNet18,
    ResNet50,
    SimCLRKeys,
    SmallResNet,
    TimmEncoder,
    TorchvisionKeys,
    Untrained,
    UserError,
    Workspace,
)
from contrast.weights.checkpoint import encoder_weights, matched
from sweeps import Sweep
from sweeps.launch_checks import checker
from sweeps.one import run_one
from tests.bench import Bench
from tests.contrast.checkpoints import LAYOUTS, network, pretrained

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "bench").mkdir()
    return Bench(tmp_path / "bench")


@pytest.mark.parametrize(("keys", "entry", "layout", "small"), LAYOUTS.values(), ids=LAYOUTS)
def test_each_published_layout_is_the_network_that_was_saved(tmp_path, bench, keys, entry, layout, small):
    """As torch.save writes it and as safetensors; features to 1e-6, computed in float64."""
    net, pixels = network(small=small), torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tensors, beside = layout(net)
    held = {entry: tensors, **beside} if entry else tensors
    torch.save(held, tmp_path / "saved.pth", _use_new_zipfile_serialization=not small and "contrast" not in held)  # one of its two formats
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, tmp_path / "flat.safetensors")
    net.fc = nn.Identity()
    with torch.no_grad():
        wanted = net.double()((pixels - torch.tensor(keys.mean).view(3, 1, 1)) / torch.tensor(keys.std).view(3, 1, 1))
        for name in ("saved.pth", "flat.safetensors"):
            stage = pretrained(tmp_path / name, ResNet50(None if small else "imagenet", 4), keys, matched=265)
            assert bench.run(stage).results["matched"] == 265
            torch.testing.assert_close(bench.net(stage).double().features(pixels), wanted, rtol=1e-6, atol=1e-6)


def test_the_names_and_shapes_are_those_of_the_published_resnet50():
    with torch.device("meta"):
        published = resnet50()
    tensors = {name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in published.state_dict().items()}
    assert matched(encoder_weights(tensors, TorchvisionKeys(), ResNet50("imagenet").build(3, torch.Generator()))) == 265


def test_shallow_networks_and_older_files_without_counters_match_too(tmp_path, bench):
    net, pixels = network(block=BasicBlock, blocks=(2, 2, 2, 2)), torch.rand(2, 3, 40, 40, dtype=torch.float64)
    torch.save({name: tensor.half() for name, tensor in net.state_dict().items() if "num_batches" not in name}, tmp_path / "half.pth")
    stage = pretrained(tmp_path / "half.pth", ResNet18("imagenet", 4), SimCLRKeys())
    assert bench.run(stage).results["matched"] == 100
    net.fc = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(bench.net(stage).double().features(pixels), net.half().double()(pixels), rtol=1e-6, atol=1e-6)


def test_an_encoder_of_a_finished_stage_is_that_stage_for_everything_downstream(bench):
    """kNN, fine-tuning and its accuracy have the same values, to the last bit."""
    data, start = Digits(per_class=20), Untrained(data=Digits(), encoder=SmallResNet(2), seed=3)
    weights = bench.run(start).folder / "weights.safetensors"
    keys = OwnKeys(mean=Digits().mean, std=Digits().std)
    found = []
    for of in (start, pretrained(weights, SmallResNet(2), keys)):
        tuned = Finetune(of, data=data.fit("search"), epochs=3, seed=0)
        stages = [of, tuned, KNN(of, bank=data.fit("search"), on=data.held_out("search")), Accuracy(tuned, on=data.held_out("search"))]
        found.append([bench.run(stage).results for stage in stages][1:])
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", [partial(Finetune, epochs=2, seed=0), partial(LogisticRegression, l2=(0.1,))], ids=["tuned", "fitted"])
def test_a_fine_tuning_feeds_with_the_tasks_constants_or_with_the_encoders(bench, kind):
    """To the last bit; where both are alike, nothing changes."""
    data, start = Digits(per_class=10), Untrained(data=Digits(), encoder=SmallResNet(2), seed=3)
    weights = bench.run(start).folder / "weights.safetensors"
    outside, alike = (
        pretrained(weights, SmallResNet(2), OwnKeys(mean=(m,), std=(s,))) for m, s in ((0.0, 1.0), (Digits.mean[0], Digits.std[0]))
    )
    pixels, found = torch.rand(3, 1, 8, 8), {}
    for of in (outside, alike):
        bench.run(of)
        for normalization in (None, "encoder"):
            tuned = kind(of, data=data, normalization=normalization)
            found[of, normalization] = bench.run(tuned).arrays()["log_probs"], bench.net(tuned).features(pixels)
    assert torch.equal(found[outside, "encoder"][1], bench.net(outside).features(pixels))
    assert torch.equal(found[outside, None][1], bench.net(alike).features(pixels))
    assert np.array_equal(found[alike, "encoder"][0], found[alike, None][0])
    assert np.array_equal(found[outside, None][0], found[alike, None][0])
    assert not np.array_equal(found[outside, "encoder"][0], found[alike, None][0])


def test_a_task_of_other_channels_is_refused_before_any_training(official):
    says = r"Finetune\.data = Digits\(.+\): has images of 1 channels, and the encoder was trained on 3\. Use another encoder"
    with pytest.raises(UserError, match=says):
        checker(None)({"tuned": Finetune(pretrained(official[0]), data=Digits(), seed=0)}, "search")


def test_a_file_below_the_data_root_is_found_there(tmp_path, official):
    path, _ = official
    stage = replace(pretrained(path), address="official.pth")
    checker(tmp_path)({"net": stage}, "search")
    (tmp_path / "attempt").mkdir()
    with pytest.raises(StopIteration) as end:
        next(stage.run(Workspace(tmp_path / "attempt", resolve={}.__getitem__, data=tmp_path)))
    assert end.value.value["matched"] == 265
    with pytest.raises(UserError, match=r"Pretrained\.address = 'official\.pth': lies below the data root, which is not set\. Set"):
        checker(None)({"net": stage}, "search")


def test_weights_of_timms_own_modules_are_those_of_its_encoder(tmp_path, bench):
    """As timm saves a whole model, with its classifier: features are timm's own, to the last bit."""
    timm = pytest.importorskip("timm", reason="timm is an extra")
    for model in ("resnet10t", "mobilenetv3_small_050"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            saved = timm.create_model(model, pretrained=False, num_classes=7).eval()
        torch.save(saved.state_dict(), tmp_path / f"{model}.pth")
        keys = OwnKeys(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        stage = pretrained(tmp_path / f"{model}.pth", TimmEncoder(model), keys)
        assert bench.run(stage).results["matched"] > 0
        pixels = torch.rand(2, 3, 64, 64)
        with torch.no_grad():
            wanted = saved.forward_head(saved.forward_features((pixels - 0.5) / 0.25), pre_logits=True)
            torch.testing.assert_close(bench.net(stage).features(pixels), wanted, rtol=1e-5, atol=1e-6)


def test_what_the_store_holds_needs_its_file_no_more(official, tmp_path):
    """A dead link does not stop a sweep in which nothing of it has to run; once it has to, it does."""
    stage, root = pretrained(official[0]), tmp_path / "runs"
    sweep = Sweep("held", lambda trial, seed, phase: {"net": stage})

    def again():
        run_one(sweep, None, [], 0, root, None, Console(quiet=True))

    again()
    official[0].unlink()
    again()
    (record,) = root.glob("store/Pretrained/*/record.json")
    record.unlink()
    with pytest.raises(UserError, match=r"official\.pth cannot be read \(No such file"):
        again()
