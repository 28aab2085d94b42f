"""Weights from outside are the network that was saved, to the last feature, or they are refused; nothing in a file is run.

Small residual networks of torchvision's are saved in each published layout, with all that such a file holds beside them.
Their own forward pass is the oracle.
"""

import argparse
import hashlib
import http.server
import pickle
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet50
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from analysis import KNN, Accuracy
from contrast import (
    Digits,
    Finetune,
    MoCoKeys,
    OwnKeys,
    Pretrained,
    PyContrastKeys,
    ResNet18,
    ResNet34,
    ResNet50,
    SimCLRKeys,
    SimCLRv2Keys,
    SmallResNet,
    SupContrastKeys,
    TimmKeys,
    TorchvisionKeys,
    Untrained,
    UserError,
    Workspace,
)
from contrast.weights.checkpoint import encoder_weights, matched
from sweeps.launch_checks import checker
from tests.bench import Bench

pytestmark = pytest.mark.usefixtures("cache")
ENCODER = ResNet50("imagenet", 4)


class Narrow(ResNet):
    """torchvision's network, a sixteenth as wide; with a small stem, as HobbitLong's."""

    def __init__(self, block=Bottleneck, blocks=(3, 4, 6, 3), small=False):
        super().__init__(block, list(blocks), num_classes=7)
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False) if small else nn.Conv2d(3, 4, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.maxpool = nn.Identity() if small else self.maxpool

    def _make_layer(self, block, planes, *arguments, **options):
        self.inplanes = 4 if planes == 64 else self.inplanes
        return super()._make_layer(block, planes // 16, *arguments, **options)


def network(**shape):
    """With statistics of batch normalisation as training leaves them, not 0 and 1."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Narrow(**shape)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                for tensor in (layer.running_mean, layer.bias):
                    nn.init.normal_(tensor.data, std=0.1)
                for tensor in (layer.running_var, layer.weight):
                    nn.init.uniform_(tensor.data, 0.7, 1.3)
    return net.eval()


def body(net):
    return {name: tensor for name, tensor in net.state_dict().items() if not name.startswith("fc.")}


def prefixed(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def other(net):
    """As its momentum encoder: the same names, other numbers."""
    return {name: tensor + 1 for name, tensor in body(net).items()}


def separius(name):
    """`layer1.0.conv2.weight` in the nets of numbered layers that Separius/SimCLRv2-Pytorch has."""
    if name.startswith(("conv1", "bn1")):
        return name.replace("conv1", "net.0.0").replace("bn1", "net.0.1.0")
    stage, block, layer, *rest = name.split(".")
    if layer == "downsample":
        places = {"0": "projection.shortcut", "1": "projection.bn.0"}
        place, rest = places[rest[0]], rest[1:]
    else:
        place = {"conv1": "net.0", "bn1": "net.1.0", "conv2": "net.2", "bn2": "net.3.0", "conv3": "net.4", "bn3": "net.5.0"}[layer]
    return ".".join([f"net.{stage[-1]}.blocks.{block}", place, *rest])


LINEAR = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
MORE = {"epoch": 200, "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.03, "params": [0]}]}}
OPTIONS = argparse.Namespace(learning_rate=0.5, lr_decay_epochs=[700, 800], cosine=True, model_path="./save")


def py_contrast(net, *heads):
    tensors = prefixed("module.encoder.", body(net))
    for head in heads:
        tensors |= prefixed(f"module.{head}.", LINEAR)
    return tensors, {"contrast": {"memory": torch.zeros(5, 3)}, "model_ema": prefixed("encoder.", other(net)), **MORE}


def moco(net):
    tensors = (
        prefixed("module.encoder_q.", body(net)) | prefixed("module.encoder_k.", other(net)) | prefixed("module.encoder_q.fc.0.", LINEAR)
    )
    tensors |= {"module.queue": torch.zeros(3, 5), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    return tensors | prefixed("module.encoder_k.fc.0.", LINEAR), {"arch": "resnet50", **MORE}


def sup_contrast(net, prefix="encoder.module."):
    tensors = {prefix + name.replace("downsample", "shortcut"): tensor for name, tensor in body(net).items()}
    return tensors | prefixed("head.0.", LINEAR), {"opt": OPTIONS, **MORE}


def sim_clr_v2(net):
    tensors = {separius(name): tensor for name, tensor in body(net).items()}
    return tensors | prefixed("fc.", LINEAR), {"head": prefixed("layers.0.", LINEAR)}


# A key map, the entry that holds the tensors ("" for the file itself), what such a file holds, and the network's stem.
LAYOUTS = {
    "torchvision": (TorchvisionKeys(), "", lambda net: (net.state_dict(), {}), False),
    "timm": (TimmKeys(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)), "state_dict", lambda net: (net.state_dict(), {"args": OPTIONS}), False),
    "MoCo v2": (MoCoKeys(), "state_dict", moco, False),
    "InsDis": (PyContrastKeys(), "model", lambda net: py_contrast(net, "head.0"), False),
    "PIRL, InfoMin": (PyContrastKeys(), "model", lambda net: py_contrast(net, "head.0", "head_jig.fc1.0", "head_jig.fc2"), False),
    "SimCLR v1": (SimCLRKeys(), "state_dict", lambda net: (net.state_dict(), {}), False),
    "SimCLR v2": (SimCLRv2Keys(), "resnet", sim_clr_v2, False),
    "SupContrast, GPUs": (SupContrastKeys(), "model", sup_contrast, True),
    "SupContrast, one": (SupContrastKeys(), "model", partial(sup_contrast, prefix="encoder."), True),
}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pretrained(path, encoder=ENCODER, keys=TorchvisionKeys(), **fields):
    return Pretrained(address=path.as_uri(), sha256=digest(path), encoder=encoder, keys=keys, **fields)


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "bench").mkdir()
    return Bench(tmp_path / "bench")


@pytest.fixture
def official(tmp_path):
    """A file of torchvision's, and its network."""
    net = network()
    torch.save(net.state_dict(), tmp_path / "official.pth")
    return tmp_path / "official.pth", net


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


def test_a_fine_tuning_feeds_with_the_tasks_constants_or_with_the_encoders(bench):
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
            tuned = Finetune(of, data=data, epochs=2, seed=0, normalization=normalization)
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


class Marker:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


HIDDEN = {
    "beside the weights": lambda held, marker: {"state_dict": held, "notes": Marker(marker)},
    "among them": lambda held, marker: held | {"fc.bias": Marker(marker)},
    "in the options": lambda held, marker: {"state_dict": held, "opt": argparse.Namespace(more=Marker(marker))},
    "a whole network": lambda held, marker: Narrow(),
}
WRITERS = {
    "now": torch.save,
    "before": partial(torch.save, _use_new_zipfile_serialization=False),
    "bare pickle": lambda held, path: path.write_bytes(pickle.dumps(held, protocol=2)),
}


@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_pickled_code_is_refused_and_not_run(tmp_path, write, hide):
    marker, path = tmp_path / "marker", tmp_path / "bad.pth"
    write(hide({"conv1.weight": torch.zeros(2)}, marker), path)
    with pytest.raises(UserError, match=r"bad\.pth: (holds pickled code or objects \(\w|must be a safetensors file).+\. (Where|Get) "):
        checker(None)({"net": pretrained(path)}, "search")
    assert not marker.exists()


def test_what_would_have_been_run_is_named_with_the_cure(tmp_path):
    torch.save({"state_dict": {}, "notes": Marker(tmp_path / "marker")}, tmp_path / "bad.pth")
    rule = r"holds pickled code or objects \(\w+\.mkdir\), and must hold tensors and plain values alone; nothing of it was run"
    with pytest.raises(UserError, match=rf"{rule}\. Where you trust its source, load it there and save its state dict alone"):
        checker(None)({"net": pretrained(tmp_path / "bad.pth")}, "search")


def renamed(held, old, new):
    return {name.replace(old, new): tensor for name, tensor in held.items()}


# What the file holds of a ResNet-50, the stage's fields, and what the refusal says.
WRONG = {
    "no tensor": (
        lambda held: prefixed("module.encoder_q.", held),
        {},
        r"no tensor of the encoder is there: the file has module\.encoder_q\.conv1",
    ),
    "the other way round": (
        dict,
        {"keys": MoCoKeys()},
        r"no tensor .+ the file has conv1\.weight, .+; the encoder has stem\.0\.weight, .+ and 315 more",
    ),
    "only a head": (lambda held: {"fc.weight": held["fc.weight"]}, {}, r"no tensor of the encoder is there: the file has fc\.weight; "),
    "some lack": (
        lambda held: {k: v for k, v in held.items() if "layer3.2" not in k},
        {},
        r"the file lacks: stage3\.2\.conv1\.weight, .+ and 12 more",
    ),
    "deeper": (
        dict,
        {"encoder": ResNet50(None, 4)},
        r"conv1\.weight is \(4, 3, 7, 7\) .+ and stem\.0\.weight of the encoder \(4, 3, 3, 3\) ",
    ),
    "wider": (
        dict,
        {"encoder": ResNet50("imagenet", 8)},
        r"conv1\.weight is \(4, 3, 7, 7\) of torch\.float32, .+: its depth, stem and base_width",
    ),
    "shallower": (
        lambda held: held | {"layer1.3.conv1.weight": torch.zeros(4)},
        {},
        r"tensors that the encoder lacks: layer1\.3\.conv1\.weight; ",
    ),
    "other blocks": (dict, {"encoder": ResNet34("imagenet", 4)}, r"the file has tensors that the encoder lacks: layer1\.0\.conv3\.weight"),
    "a selective kernel": (
        lambda held: {"net.0.4.weight": torch.zeros(1), "net.0.0.weight": held["conv1.weight"]},
        {"keys": SimCLRv2Keys()},
        "lacks",
    ),
    "not finite": (lambda held: held | {"bn1.bias": torch.full((4,), torch.nan)}, {}, r"bn1\.bias is not finite everywhere"),
    "integers": (lambda held: held | {"bn1.bias": torch.ones(4, dtype=torch.long)}, {}, r"bn1\.bias is \(4,\) of torch\.int64"),
    "a number": (lambda held: held | {"bn1.bias": 3.0}, {}, r"bn1\.bias is a float"),
    "twice": (lambda held: held | {"module.bn1.bias": held["bn1.bias"]}, {}, r"module\.bn1\.bias and bn1\.bias are both stem\.1\.bias"),
    "another number": (dict, {"matched": 267}, r"Pretrained\.matched = 267: must be how many .+, 265\. State 265"),
    "another file": (dict, {"sha256": "0" * 64}, r"Pretrained\.sha256 = '0+': file:.+ must have this checksum, and has [0-9a-f]{64}\. Get"),
}


@pytest.mark.parametrize(("change", "fields", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_before_any_training(tmp_path, official, change, fields, says):
    torch.save(change(official[1].state_dict()), tmp_path / "wrong.pth")
    stage = replace(pretrained(tmp_path / "wrong.pth"), **fields)
    with pytest.raises(UserError, match=says):
        checker(None)({"net": stage}, "search")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b"PK\x03\x04" + bytes(50),
        b"\x80\x02]q\x00.",
        b"\x09\0\0\0\0\0\0\0{broken}",
        b"\x80\x02((",
    ],
    ids=["empty", "text", "image", "torn zip", "list", "torn safetensors", "torn pickle"],
)
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.pth: must be a safetensors file or a state dict of torch\.save \(.+\)\. Get the file again"):
        checker(None)({"net": pretrained(tmp_path / "x.pth")}, "search")


ADDRESSES = [
    "",
    "/etc/weights.pth",
    "../weights.pth",
    "ftp://host/weights.pth",
    "file:weights.pth",
    "https://",
    "https://me:secret@host/weights.pth",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_is_none_is_refused_by_the_value(address):
    with pytest.raises(UserError, match=r"Pretrained\.address = '.*': must (be|name) .+\. \w"):
        Pretrained(address=address, sha256="0" * 64, encoder=ENCODER, keys=TorchvisionKeys())


def test_other_bad_fields_are_refused_by_the_value():
    good = Pretrained(address="a.pth", sha256="0" * 64, encoder=ENCODER, keys=TorchvisionKeys())
    for fields, says in (({"sha256": "A" * 64}, "64 hexadecimal digits in small letters"), ({"matched": 0}, "must be at least 1")):
        with pytest.raises(UserError, match=says):
            replace(good, **fields)
    for constants, says in (({"mean": ()}, "a number for each channel"), ({"std": (1.0, 0.0, 1.0)}, "a number above 0 for each of 3")):
        with pytest.raises(UserError, match=says):
            TorchvisionKeys(**constants)


def test_a_missing_file_is_refused_with_its_place(tmp_path):
    stage = Pretrained(address="weights/a.pth", sha256="0" * 64, encoder=ENCODER, keys=TorchvisionKeys())
    with pytest.raises(UserError, match=r"Pretrained\.address = 'weights/a\.pth': .+/weights/a\.pth cannot be read \(No such file"):
        checker(tmp_path)({"net": stage}, "search")


@pytest.fixture
def server(tmp_path):
    """A server of the test's folder on the loopback, and the paths that it was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", asked
        running.shutdown()


def test_a_file_from_a_url_is_fetched_once_a_node_and_verified(server, official, bench, cache):
    url, asked = server
    stage = replace(pretrained(official[0]), address=f"{url}/official.pth?download=1")
    checker(None)({"net": stage}, "search")
    assert bench.run(stage).results["matched"] == 265
    assert len(asked) == 1
    (cache / "weights" / stage.sha256).write_bytes(b"damaged")
    checker(None)({"net": stage}, "search")
    assert len(asked) == 2
    with pytest.raises(UserError, match=r"Pretrained\.sha256 = '1+': http://.+ must have this checksum, and has [0-9a-f]{64}\."):
        checker(None)({"net": replace(stage, sha256="1" * 64)}, "search")
    assert [file.name for file in (cache / "weights").iterdir()] == [stage.sha256]


def test_a_url_that_gives_nothing_is_told_before_any_training_and_tried_again_by_a_worker(server, official, tmp_path):
    """`OSError` is what a worker tries again; a launch says it to the user."""
    stage = replace(pretrained(official[0]), address=f"{server[0]}/nothing.pth")
    with pytest.raises(
        UserError, match=r"Pretrained\.address = 'http://.+/nothing\.pth': cannot be downloaded \(.*404.*\)\. Check the address"
    ):
        checker(None)({"net": stage}, "search")
    with pytest.raises(OSError, match="404"):
        next(stage.run(Workspace(tmp_path, resolve={}.__getitem__)))


def test_a_launch_reads_a_file_once_however_many_measures_there_are(official, monkeypatch):
    reads = []
    monkeypatch.setattr(Pretrained, "check_files", lambda stage, root: reads.append(stage))
    stage = pretrained(official[0], keys=TorchvisionKeys(mean=(0.5,), std=(0.5,)))
    check = checker(None)
    for neighbours in range(1, 4):
        check({"knn": KNN(stage, on=Digits(part="held_out"), k=neighbours)}, "search")
    assert reads == [stage]


def test_numbers_of_numpy_beside_the_weights_are_objects_too(tmp_path):
    torch.save({"state_dict": {}, "best": np.float64(0.5)}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"holds pickled code or objects \(numpy"):
        checker(None)({"net": pretrained(tmp_path / "bad.pth")}, "search")
