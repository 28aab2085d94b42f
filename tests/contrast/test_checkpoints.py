"""A checkpoint is read without running anything of it, and is the network that is wanted, or is refused by what is wrong with it."""

import argparse
import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from contrast import MoCoKeys, ResNet34, ResNet50, SimCLRv2Keys, UserError
from sweeps.launch_checks import checker
from tests.contrast.checkpoints import Narrow, prefixed, pretrained

pytestmark = pytest.mark.usefixtures("cache")


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


def _with_bias(bias, held):
    return held | {"bn1.bias": bias}


# Tensors that a pickle may hold, which are none of an encoder's.
ODD = {
    "sparse_coo tensor": torch.ones(4).to_sparse(),
    "sparse_csr tensor": torch.eye(4).to_sparse_csr(),
    "nested tensor": torch.nested.nested_tensor([torch.ones(2), torch.ones(2)]),
    "meta tensor": torch.ones(4, device="meta"),
    "tensor of torch.float8_e4m3fn": torch.ones(4).to(torch.float8_e4m3fn),
    "tensor of torch.complex64": torch.ones(4, dtype=torch.complex64),
    "tensor of torch.bool": torch.ones(4, dtype=torch.bool),
}


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
    "beyond float32": (
        lambda held: held | {"bn1.bias": torch.full((4,), 1e300, dtype=torch.float64)},
        {},
        r"bn1\.bias is not finite everywhere in torch\.float32, and must be\. Get",
    ),
    **{
        kind: (
            partial(_with_bias, bias),
            {},
            rf"bn1\.bias is a {kind}, and must be a dense tensor of float32, .+\. Save the state",
        )
        for kind, bias in ODD.items()
    },
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


def test_numbers_of_numpy_beside_the_weights_are_objects_too(tmp_path):
    torch.save({"state_dict": {}, "best": np.float64(0.5)}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"holds pickled code or objects \(numpy"):
        checker(None)({"net": pretrained(tmp_path / "bad.pth")}, "search")
