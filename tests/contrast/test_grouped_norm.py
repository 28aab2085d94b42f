"""Groups of a batch are normalised as if each were on a GPU of its own; what has no such groups is refused before any training."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from contrast import SGD, VAE, CropViews, Digits, MLPHead, MoCo, NTXent, Plain, Pretrain, SmallResNet, UserError
from contrast.distributed import Processes
from contrast.encoders import Encoder
from contrast.grouped_norm import GroupedNorm
from contrast.heads import BatchNormHead
from sweeps.launch_checks import check_resources, checker


class WithActivation(nn.BatchNorm2d):
    """A layer that groups and processes would have to be told of, as libraries of models have them."""

    def forward(self, x):
        return super().forward(x).relu()


@dataclass(frozen=True)
class OneConvolution(Encoder):
    """With such a layer after it, or without any."""

    norm: bool
    width = 4

    def build(self, channels, generator):
        norm = WithActivation(4) if self.norm else nn.ReLU()
        return nn.Sequential(nn.Conv2d(channels, 4, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten())


SHARED = {"data": Digits(per_class=9), "batch_size": 24, "epochs": 1, "seed": 0, "optimizer": SGD(0.05)}


def moco(encoder, head=MLPHead(1, out=8), **options):
    return MoCo(**SHARED, encoder=encoder, views=CropViews(), head=head, queue=48, **options)


TRAININGS = {
    "Pretrain": lambda encoder: Pretrain(**SHARED, encoder=encoder, views=CropViews(), head=MLPHead(1), loss=NTXent(0.5)),
    "MoCo": lambda encoder: moco(encoder, norm_groups=None),
    "VAE": lambda encoder: VAE(**SHARED, encoder=encoder, views=Plain()),
}


@pytest.mark.parametrize("options", [{}, {"momentum": 0.3}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}], ids=str)
def test_groups_have_the_statistics_of_a_batch_each(options):
    """Over three batches, so that a cumulative average (momentum None) weighs them; equal to one BatchNorm2d a group."""
    norm = nn.BatchNorm2d(3, **options)
    if norm.affine:
        nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
        nn.init.uniform_(norm.bias, generator=torch.Generator().manual_seed(2))
    plain, parts = nn.BatchNorm2d(3, **options), [nn.BatchNorm2d(3, **options) for _ in range(4)]
    for part in (plain, *parts):
        part.load_state_dict(norm.state_dict())
    grouped, generator = GroupedNorm(norm, 4, Processes()), torch.Generator().manual_seed(0)
    for step in range(1, 4):
        x = torch.randn(12, 3, 5, 5, generator=generator) * step + step
        mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        found, expected = grouped(mine), torch.cat([part(piece) for part, piece in zip(parts, theirs.split(3), strict=True)])
        torch.testing.assert_close(found, expected)
        found.square().mul(x).sum().backward()
        expected.square().mul(x).sum().backward()
        torch.testing.assert_close(mine.grad, theirs.grad)
        if norm.track_running_stats:
            torch.testing.assert_close(grouped.running_mean, torch.stack([part.running_mean for part in parts]).mean(0))
            torch.testing.assert_close(grouped.running_var, torch.stack([part.running_var for part in parts]).mean(0))
            assert int(grouped.num_batches_tracked) == step
    assert grouped.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(grouped.state_dict())
    assert torch.equal(grouped.eval()(x), plain.eval()(x))


def test_groups_of_what_cannot_be_grouped_are_refused_before_training():
    rule = r"encoder\.1: WithActivation does more than batch normalisation and cannot be grouped"
    with pytest.raises(UserError, match=rf"^MoCo\.norm_groups = 8: {rule}\. Set norm_groups=None\.$"):
        checker(None)({"net": moco(OneConvolution(True))}, "confirm")


def test_a_network_without_groups_needs_no_batch_normalisation_and_that_of_the_head_will_do():
    check = checker(None)
    for stage in (moco(OneConvolution(True), norm_groups=None), moco(OneConvolution(False)), moco(SmallResNet(2))):
        check({"net": stage}, "confirm")
    check({"net": moco(OneConvolution(False), head=BatchNormHead(2, out=8))}, "confirm")


@pytest.mark.parametrize("name", TRAININGS)
def test_processes_that_cannot_share_a_batch_normalisation_are_refused_before_training(name):
    rule = r"encoder\.1: WithActivation does more than batch normalisation and cannot be synchronised over 2 processes\. Ask for one GPU"
    with pytest.raises(UserError, match=rf"^{name}\.encoder = OneConvolution\(norm=True\): {rule}"):
        check_resources([f"{name}=gpu:2"], None, [TRAININGS[name](OneConvolution(True))])
    check_resources([f"{name}=gpu:1"], None, [TRAININGS[name](OneConvolution(True))])
    check_resources([f"{name}=gpu:2"], None, [TRAININGS[name](OneConvolution(False))])
