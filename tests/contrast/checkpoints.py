"""Checkpoints as they are published: small residual networks of torchvision's in each layout, with all that such a file holds beside."""

import argparse
import hashlib
from functools import partial

import torch
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from contrast import (
    MoCoKeys,
    Pretrained,
    PyContrastKeys,
    ResNet50,
    SimCLRKeys,
    SimCLRv2Keys,
    SupContrastKeys,
    TimmKeys,
    TorchvisionKeys,
)

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
