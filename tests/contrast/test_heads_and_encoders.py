"""Heads and encoders against torchvision's ResNet-18, closed forms of their size, and the law of their initial weights."""

import pytest
import torch
import torchvision
from torch import nn

from contrast.component import UserError
from contrast.encoders import ResNet18, SmallResNet
from contrast.encoders.resnet import Picking, convolution
from contrast.heads import Classifier, MLPHead


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def stage_size(c: int, k: int, blocks: int) -> int:
    """Weights of a stage: its convolutions, two numbers a channel for each normalisation, a 1x1 shortcut if c != k."""
    first = 9 * c * k + 9 * k * k + 4 * k + (c * k + 2 * k if c != k else 0)
    return first + (blocks - 1) * (18 * k * k + 4 * k)


@pytest.mark.parametrize("training", [True, False])
def test_resnet18_is_torchvisions_with_a_small_stem(training):
    """Same weights, same features, to 1e-10 in float64, by batch statistics and by running ones."""
    peer = torchvision.models.resnet18(weights=None)
    peer.conv1, peer.maxpool, peer.fc = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity(), nn.Identity()
    net = ResNet18().build(3, seeded())
    theirs, ours = peer.state_dict(), net.state_dict()
    assert [t.shape for t in theirs.values()] == [t.shape for t in ours.values()]
    net.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    x = torch.rand(4, 3, 16, 16, dtype=torch.float64, generator=seeded(1))
    with torch.no_grad():
        expected = peer.double().train(training)(x)
        actual = net.double().train(training)(x)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("channels", [1, 3])
def test_encoders_have_the_weights_their_shape_implies(channels):
    stem = 9 * channels * 64 + 2 * 64
    stages = stage_size(64, 64, 2) + stage_size(64, 128, 2) + stage_size(128, 256, 2) + stage_size(256, 512, 2)
    assert size(ResNet18().build(channels, seeded())) == stem + stages
    for w, blocks in ((16, 1), (8, 1), (16, 3)):
        stages = stage_size(w, w, blocks) + stage_size(w, 2 * w, blocks) + stage_size(2 * w, 4 * w, blocks)
        assert size(SmallResNet(w, blocks).build(channels, seeded())) == 9 * channels * w + 2 * w + stages


def test_resnet18_without_classifier_has_the_published_size():
    assert size(ResNet18().build(3, seeded())) == 11_168_832


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_small_resnet_has_six_layers_a_block_and_two(blocks):
    net = SmallResNet(4, blocks).build(3, seeded())
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(layers) + 1 == 6 * blocks + 2  # the classifier is the last


@pytest.mark.parametrize(("encoder", "side", "final"), [(SmallResNet(), 8, 2), (SmallResNet(), 32, 8), (ResNet18(), 32, 4)])
def test_features_are_the_mean_over_the_last_feature_map(encoder, side, final):
    """To 1e-6, in float32."""
    net = encoder.build(3, seeded()).eval()
    x = torch.rand(2, 3, side, side, generator=seeded(1))
    with torch.no_grad():
        maps = net[:-1](x)
        assert maps.shape == (2, encoder.width, final, final)
        torch.testing.assert_close(net(x), maps.mean((2, 3)), rtol=1e-6, atol=1e-6)


def test_the_gradient_of_pooled_features_lies_in_memory_as_the_activations_do():
    """Channels last: else the ReLU before the pool reads across memory in the backward pass."""
    net, seen = SmallResNet(4).build(3, seeded()).to(memory_format=torch.channels_last), []
    x = torch.rand(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    maps = net[:-1](x)
    maps.register_hook(seen.append)
    net[-1](maps).square().sum().backward()
    assert seen[0].stride() == maps.stride()
    assert maps.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [15, 16, 17])
def test_a_thin_shortcut_is_torchs_convolution(stride, side):
    """Output, gradients of input and of weights, to rounding, up to 16 x 16 to the last bit; with a bias, as folding leaves it."""
    thin, wide = (convolution(channels, 32, 1, 2, seeded()) for channels in (8, 16))
    assert (type(thin), type(wide)) == (Picking, nn.Conv2d)
    plain = nn.Conv2d(8, 32, 1, stride)
    plain.weight, thin.bias, thin.stride = thin.weight, plain.bias, plain.stride
    found = []
    for layer in (thin, plain):
        x = torch.rand(4, 8, side, 16, generator=seeded(1)).contiguous(memory_format=torch.channels_last).requires_grad_()
        out = layer.to(memory_format=torch.channels_last)(x)
        weights = torch.rand(out.shape, generator=seeded(2)).contiguous(memory_format=torch.channels_last)
        found.append((out, *torch.autograd.grad((out * weights).sum(), [x, layer.weight])))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5 * (side > 16), atol=1e-5 * (side > 16))


def test_a_thin_encoder_has_the_same_gradients_of_large_images_in_either_memory_format():
    """To 1e-4 of the largest; with a strided convolution in its shortcuts oneDNN crashes here."""
    grads = []
    for layout in (torch.contiguous_format, torch.channels_last):
        net = SmallResNet(2).build(3, seeded()).to(memory_format=layout)
        x = torch.rand(4, 3, 96, 96, generator=seeded(1)).contiguous(memory_format=layout)
        net(x).square().sum().backward()
        grads.append([weight.grad for weight in net.parameters()])
    worst = max(float(grad.abs().max()) for grad in grads[0])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4 * worst)


def test_convolutions_start_kaiming_normal_by_fan_out_and_normalisation_at_the_identity():
    """The deviation of 9 * 256 * 512 draws is within 1 % of sqrt(2 / (9 * 512)); over 10 standard errors."""
    net = ResNet18().build(3, seeded())
    weight = net.get_submodule("stage4.0.conv1").weight
    assert weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    assert abs(weight.mean().item()) < 1e-4
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


def test_in_place_activations_keep_the_input_and_the_derivatives():
    """The gradient's own derivative against central differences along one direction, 1e-5 relative, in float64."""
    net = SmallResNet(4).build(3, seeded()).double()
    x = torch.rand(3, 3, 8, 8, dtype=torch.float64, generator=seeded(1)).requires_grad_()
    direction = torch.randn(x.shape, dtype=torch.float64, generator=seeded(2))
    kept = x.detach().clone()

    def slope(at: torch.Tensor) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(net(at).square().sum(), at, create_graph=True)
        return gradient.square().sum()

    (second,) = torch.autograd.grad(slope(x), x)
    step = 1e-6
    numeric = (slope(x + step * direction) - slope(x - step * direction)) / (2 * step)
    assert (second * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-5)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_projection_head_has_depth_dense_layers_as_wide_as_its_input(depth):
    head = MLPHead(depth, 16).build(24, 10, seeded())
    layers = [m for m in head if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in layers] == [(24, 24)] * (depth - 1) + [(24, 16)]
    assert [type(m) for m in head] == [nn.Linear, nn.ReLU] * (depth - 1) + [nn.Linear]
    assert size(head) == (depth - 1) * (24 * 24 + 24) + 24 * 16 + 16


def test_a_projection_head_is_the_composition_of_its_layers():
    """To 1e-12, in float64."""
    head = MLPHead(3, 5).build(7, 10, seeded()).double()
    (w1, b1), (w2, b2), (w3, b3) = ((head[i].weight, head[i].bias) for i in (0, 2, 4))
    h = torch.randn(6, 7, dtype=torch.float64, generator=seeded(1))
    kept = h.clone()
    expected = ((h @ w1.T + b1).clamp(min=0) @ w2.T + b2).clamp(min=0) @ w3.T + b3
    torch.testing.assert_close(head(h), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(h, kept)


def test_depth_zero_returns_the_features():
    h = torch.randn(4, 7, generator=seeded())
    assert MLPHead(0).build(7, 10, seeded())(h) is h


def test_dense_layers_start_uniform_within_one_over_the_root_of_their_width():
    """torch's default law: the extreme of 128 * 400 draws reaches 99.9 % of the bound, the deviation is bound / sqrt(3) within 1 %."""
    layer = Classifier().build(400, 128, seeded())
    bound = 400**-0.5
    assert 0.999 * bound < layer.weight.abs().max() <= bound
    assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert 0.9 * bound < layer.bias.abs().max() <= bound


def test_a_classifier_maps_features_to_class_logits():
    layer = Classifier().build(12, 5, seeded())
    assert layer(torch.ones(3, 12)).shape == (3, 5)
    assert size(layer) == 12 * 5 + 5


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: MLPHead(5), "depth = 5"),
        (lambda: MLPHead(-1), "depth = -1"),
        (lambda: MLPHead(2, 0), "out = 0"),
        (lambda: MLPHead(2, 2**16 + 1), "out = 65537"),
        (lambda: SmallResNet(0), "base_width = 0"),
        (lambda: SmallResNet(1025), "base_width = 1025"),
        (lambda: SmallResNet(16, 0), "blocks = 0"),
        (lambda: SmallResNet(16, 1001), "blocks = 1001"),
    ],
)
def test_a_shape_out_of_range_is_refused_by_name(make, field):
    with pytest.raises(UserError, match=rf"{field}: must be an integer"):
        make()
