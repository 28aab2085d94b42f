"""ResNets are torchvision's where torchvision has them, the rest follow closed forms; timm's models are an extra."""

import builtins

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import Bottleneck

from contrast.component import UserError
from contrast.encoders import ConvN, ResNet18, ResNet34, ResNet50, ResNet101, ResNet200, TimmEncoder


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def peer(name: str, small: bool) -> nn.Module:
    with torch.device("meta"):
        net = torchvision.models.ResNet(Bottleneck, [3, 24, 36, 3]) if name == "resnet200" else getattr(torchvision.models, name)()
        net.fc = nn.Identity()
        if small:
            net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return net


@pytest.mark.parametrize("stem", [None, "imagenet"])
@pytest.mark.parametrize("encoder", [ResNet18, ResNet34, ResNet50])
def test_a_resnet_with_torchvisions_weights_gives_torchvisions_features(encoder, stem):
    """To 1e-9 relative, in float64, by batch statistics and by running ones."""
    theirs = peer(encoder.__name__.lower(), stem is None).to_empty(device="cpu")
    net = encoder(stem).build(3, seeded())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), net.state_dict().values(), strict=True)))
    x = torch.rand(2, 3, 16, 16, dtype=torch.float64, generator=seeded(1))
    theirs, net = theirs.double(), net.double()
    with torch.no_grad():
        for training in (True, False):
            torch.testing.assert_close(net.train(training)(x), theirs.train(training)(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stem", [None, "imagenet"])
@pytest.mark.parametrize("encoder", [ResNet101, ResNet200])
def test_the_deep_resnets_have_the_shapes_of_torchvisions_blocks(encoder, stem):
    shapes = [t.shape for t in peer(encoder.__name__.lower(), stem is None).state_dict().values()]
    assert [t.shape for t in encoder(stem).build(3, seeded()).state_dict().values()] == shapes
    assert encoder(stem).width == 2048


def test_a_doubled_width_has_four_times_the_weights():
    """Of each convolution between stages; the stem's and the normalisations' double, and the features with them."""
    one, two = (ResNet50(base_width=w).build(3, seeded()) for w in (4, 8))
    assert ResNet50(base_width=8).width == 256
    for small, large in zip(one.parameters(), two.parameters(), strict=True):
        grown = [b / a for a, b in zip(small.shape, large.shape, strict=True)]
        assert grown in ([2.0], [2.0, 2.0, 1.0, 1.0], [2.0, 1.0, 1.0, 1.0])


def test_the_usual_width_has_one_name():
    assert ResNet18(base_width=64) == ResNet18()
    assert ResNet18(base_width=64).width == 512


def test_the_large_stem_keeps_a_quarter_of_the_resolution():
    net = ResNet18("imagenet", 4).build(3, seeded())
    assert net[0](torch.rand(1, 3, 64, 64)).shape == (1, 4, 16, 16)
    assert net[:-1](torch.rand(2, 3, 64, 64)).shape == (2, 32, 2, 2)


@pytest.mark.parametrize("n", [1, 2])
def test_conv_n_has_the_published_layers(n):
    net = ConvN(n).build(1, seeded())
    layers = [(m.in_channels, m.out_channels, m.stride) for m in net if isinstance(m, nn.Conv2d)]
    assert layers == [(1, 32 * n, (2, 2)), (32 * n, 64 * n, (2, 2)), (64 * n, 64 * n, (2, 2))]
    sizes = 9 * (32 * n + 32 * 64 * n * n + 64 * 64 * n * n) + 4 * 4 * 64 * n * 128 * n + 2 * (32 + 64 + 64 + 128) * n
    assert sum(p.numel() for p in net.parameters()) == sizes
    x = torch.rand(3, 1, 28, 28, generator=seeded(1))
    maps = net[:9](x)
    assert maps.shape == (3, 64 * n, 4, 4)
    assert torch.equal(net[9](maps), maps)
    assert (net(x) >= 0).all()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ResNet50("cifar"), "ResNet50.stem = 'cifar'"),
        (lambda: ResNet34(base_width=0), "ResNet34.base_width = 0"),
        (lambda: ResNet50(base_width=10**12), "ResNet50.base_width = 1000000000000"),
        (lambda: ConvN(0), "ConvN.n = 0"),
        (lambda: ConvN(10**12), "ConvN.n = 1000000000000"),
        (lambda: TimmEncoder(""), "TimmEncoder.model = ''"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(make, field):
    with pytest.raises(UserError, match=field):
        make()


def test_without_timm_its_encoders_say_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "timm":
            raise ModuleNotFoundError("No module named 'timm'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for use in (lambda: TimmEncoder("resnet10t").width, lambda: TimmEncoder("resnet10t").build(3, seeded())):
        with pytest.raises(UserError, match=r"TimmEncoder.model = 'resnet10t': needs the library timm.*Install it with pip install"):
            use()


@pytest.mark.parametrize("model", ["resnet10t", "mobilenetv3_small_050"])
def test_a_timm_model_is_drawn_from_the_generator_and_as_wide_as_it_says(model):
    pytest.importorskip("timm", reason="timm is an extra")
    encoder = TimmEncoder(model)
    torch.rand(3)
    state = torch.get_rng_state()
    nets = [encoder.build(2, seeded(seed)).eval() for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    weights = [net.state_dict() for net in nets]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])
    with torch.no_grad():
        assert nets[0](torch.rand(2, 2, 64, 64)).shape == (2, encoder.width)


def test_a_model_that_timm_lacks_is_named():
    pytest.importorskip("timm", reason="timm is an extra")
    with pytest.raises(UserError, match=r"TimmEncoder.model = 'resnet7': must name a model of timm"):
        TimmEncoder("resnet7").build(3, seeded())
