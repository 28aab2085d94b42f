"""The layer-wise loss and its penalty: their limits are the plain ones, and no layer reaches beyond itself.

In float64 and to 1e-12 unless a test says otherwise.
"""

import pytest
import torch
from torch import Tensor

from contrast.component import UserError
from contrast.data import Digits
from contrast.encoders import ResNet18, SmallResNet
from contrast.forward import Forward
from contrast.heads import MLPHead, StageHeads
from contrast.losses import CrossEntropy, GeneralizedContrastive, Layerwise, NTXent, SlicedWasserstein
from contrast.model import LayerwiseNet
from contrast.penalties import ContrastiveInputGradient, LayerwiseInputGradient
from contrast.pretrain import initial_net

TOLERANCE = {"rtol": 1e-12, "atol": 1e-14}
HEADS = StageHeads(MLPHead(2, 5), 3)
ONE = NTXent(0.5)


def net() -> LayerwiseNet:
    return initial_net(Digits(), SmallResNet(2), HEADS, 0).double()


def views() -> Tensor:
    return torch.rand(4, 2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


def projected(network: LayerwiseNet, inputs: Tensor) -> Tensor:
    return network(inputs.flatten(0, 1)).view(4, 2, -1)


def reached(network: LayerwiseNet, value: Tensor) -> set[str]:
    """The parts of the network whose weights the value moves."""
    names, weights = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(value, weights, allow_unused=True, retain_graph=True)
    moved = [name for name, g in zip(names, gradients, strict=True) if g is not None and g.any()]
    return {".".join(name.split(".")[:2]) for name in moved}


def test_each_head_sees_its_own_stage_pooled_and_the_last_sees_the_features():
    network, inputs = net().eval(), views().flatten(0, 1).detach()
    output = network(inputs)
    assert output.shape == (8, 15)
    torch.testing.assert_close(output[:, 10:], network.top["stage3"](network.features(inputs)), **TOLERANCE)
    first = network.encoder.stage1(network.encoder.stem((inputs - network.mean) / network.std))
    torch.testing.assert_close(output[:, :5], network.top["stage1"](first.mean((2, 3))), **TOLERANCE)


def test_the_encoder_starts_as_it_does_under_any_other_head():
    plain = initial_net(Digits(), SmallResNet(2), MLPHead(), 0).encoder.state_dict()
    assert all(torch.equal(weight.double(), net().encoder.state_dict()[name].double()) for name, weight in plain.items())


def test_a_deep_network_has_a_head_for_each_of_its_four_stages():
    network = initial_net(Digits(), ResNet18(base_width=8), StageHeads(MLPHead(1, 5)), 0).eval()
    assert network(torch.rand(2, 1, 8, 8)).shape == (2, 20)


def test_layers_are_weighted_by_powers_of_the_decay_and_at_zero_the_last_is_alone():
    output = torch.randn(6, 2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    each = [ONE(part, None) for part in output.split(4, 2)]
    torch.testing.assert_close(Layerwise(ONE, 3, 0.1)(output, None), 0.01 * each[0] + 0.1 * each[1] + each[2], **TOLERANCE)
    torch.testing.assert_close(Layerwise(ONE, 3, 0.0)(output, None), each[2], **TOLERANCE)
    torch.testing.assert_close(Layerwise(ONE, 3, 1.0)(output, None), sum(each), **TOLERANCE)


@pytest.mark.parametrize(("layer", "stages"), [(0, {"stage1"}), (1, {"stage1", "stage2"}), (2, {"stage1", "stage2", "stage3"})])
def test_a_layers_loss_and_its_penalty_reach_no_stage_above_it(layer, stages):
    network, inputs = net(), views()
    part = Layerwise(ONE, 3).parts(projected(network, inputs), None)[layer]
    (slope,) = torch.autograd.grad(part, inputs, create_graph=True)
    expected = {f"encoder.{name}" for name in {"stem", *stages}} | {f"top.stage{layer + 1}"}
    assert reached(network, part) == expected
    assert reached(network, slope.square().sum()) == expected


def test_the_penalty_weighs_each_layers_own_gradient_and_at_zero_decay_is_the_plain_one():
    network, inputs = net(), views()
    output = projected(network, inputs)
    every = Layerwise(ONE, 3, 0.7)
    plain = [ContrastiveInputGradient(0.6)(Forward(net(), 4), inputs, part.contiguous(), None, ONE) for part in output.chunk(3, 2)]
    layered = LayerwiseInputGradient(0.6, 0.1)(Forward(net(), 4), inputs, output, None, every)
    torch.testing.assert_close(layered, 0.01 * plain[0] + 0.1 * plain[1] + plain[2], **TOLERANCE)
    torch.testing.assert_close(LayerwiseInputGradient(0.6, 0.0)(Forward(net(), 4), inputs, output, None, every), plain[2], **TOLERANCE)
    assert LayerwiseInputGradient(0.0)(Forward(net(), 4), inputs, output, None, every).item() == 0


def test_what_the_loss_inside_draws_and_reports_is_that_of_one_layer():
    every = Layerwise(GeneralizedContrastive(0.5, 0.1), 4)
    assert every.constants(64) == GeneralizedContrastive(0.5, 0.1).constants(16)
    assert Layerwise(SlicedWasserstein("cube", 1.0)).at_step(0, 1, 2).loss == SlicedWasserstein("cube", 1.0).at_step(0, 1, 2)
    assert (every.fewest_views, every.most_views) == (2, 2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Layerwise(CrossEntropy()), r"Layerwise\.loss = CrossEntropy\(\): must be a contrastive loss of one layer"),
        (lambda: Layerwise(Layerwise(ONE)), "must be a contrastive loss of one layer"),
        (lambda: Layerwise(ONE, 0), "Layerwise.layers = 0: must be at least 1"),
        (lambda: Layerwise(ONE, 4, 1.5), "Layerwise.decay = 1.5: must lie in 0 to 1"),
        (lambda: Layerwise(ONE, 3)(torch.ones(2, 2, 4), None), "4 numbers a view cannot be shared out among 3 layers"),
        (lambda: StageHeads(stages=0), "StageHeads.stages = 0: must be at least 1"),
        (lambda: StageHeads(MLPHead(0)), "StageHeads.head = .*must project"),
        (lambda: LayerwiseInputGradient(0.1, -1.0), "LayerwiseInputGradient.decay = -1.0: must lie in 0 to 1"),
        (lambda: LayerwiseInputGradient(0.1)(Forward(net(), 4), views(), torch.ones(4, 2, 3), None, ONE), "is not defined for NTXent"),
    ],
)
def test_a_mistake_is_refused_with_its_cure(call, text):
    with pytest.raises(UserError, match=text):
        call()
