"""Folding against the network itself: exact where it happens, and only where it is exact."""

import pytest
import torch
from torch import nn

from analysis.folding import fold
from contrast.encoders import SmallResNet
from contrast.model import Net
from contrast.random import generator


def restless(net):
    """Gives every batch normalisation statistics and parameters that are not the initial ones."""
    torch.manual_seed(3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return net.eval().requires_grad_(False)


@pytest.fixture
def resnet():
    torch.manual_seed(0)
    encoder = SmallResNet(base_width=4, blocks=2).build(3, generator(0, "encoder"))
    return restless(Net((0.5, 0.4, 0.3), (0.25, 0.2, 0.3), encoder, nn.Linear(16, 4)))


@pytest.fixture
def batch():
    draws = torch.Generator().manual_seed(0)
    return torch.rand(150, 3, 8, 8, generator=draws), torch.randint(0, 4, (150,), generator=draws)


def test_a_folded_network_has_no_normalisation_and_the_same_logits_to_1e_5(resnet, batch):
    before = {name: tensor.clone() for name, tensor in resnet.state_dict().items()}
    folded, factors = fold(resnet, batch[0][:2])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert len(factors) == sum(isinstance(module, nn.Conv2d) for module in resnet.modules())
    expected = resnet(batch[0])
    assert torch.allclose(folded(batch[0]), expected, atol=1e-5 * expected.abs().max().item())
    assert all(torch.equal(tensor, before[name]) for name, tensor in resnet.state_dict().items())
    assert any(isinstance(module, nn.BatchNorm2d) for module in resnet.modules())


class Awkward(nn.Module):
    """Has one pair to fold, and normalisations that must stay: before a layer, of an output read twice, of one used twice."""

    def __init__(self):
        super().__init__()
        self.before, self.plain, self.after = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.read_twice, self.norm_twice = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.shared, self.norm_shared = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.dense, self.norm_dense = nn.Linear(4, 6), nn.BatchNorm1d(6)
        self.batchwise = nn.BatchNorm1d(6, track_running_stats=False)
        self.last = nn.Linear(6, 6)

    def forward(self, x):
        x = self.after(self.plain(self.before(x))).relu_()
        y = self.read_twice(x)
        x = self.norm_twice(y) + 0.1 * y
        x = self.norm_shared(self.shared(self.shared(x)))
        x = self.norm_dense(self.dense(x.mean((2, 3))))
        return self.batchwise(self.last(x))


def test_only_what_can_be_folded_exactly_is_folded(batch):
    torch.manual_seed(0)
    net, x = Awkward().double().eval(), batch[0].double()
    for norm in (net.before, net.after, net.norm_twice, net.norm_shared, net.norm_dense):
        restless(norm)
    folded, factors = fold(net, x[:4])
    assert sorted(factors) == ["dense.weight", "plain.weight"]
    assert torch.allclose(folded(x), net(x), atol=1e-10)  # float64, since the last normalisation magnifies rounding
