"""The penalty by finite differences against closed forms and against the exact one, and the options that the two share.

In float64 and to 1e-12 unless a test says otherwise.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast.augmentations import CropViews
from contrast.component import UserError
from contrast.encoders import SmallResNet
from contrast.forward import Forward
from contrast.heads import Classifier
from contrast.loop import Place, Step
from contrast.losses import CrossEntropy, MaxMargin, NTXent
from contrast.model import Net
from contrast.norms import frozen_norms, without_memory
from contrast.penalties import ContrastiveInputGradient, InputDifference, InputGradient

TOLERANCE = {"rtol": 1e-12, "atol": 1e-14}
MEAN, STD = (0.3, 0.5), (0.25, 0.5)
LABELS = torch.tensor([0, 2, 1, 0, 1])


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(n: int = 5, v: int = 2) -> Tensor:
    return torch.rand(n, v, 2, 2, 3, dtype=torch.float64, generator=drawn()).requires_grad_()


def of_layers(*layers: nn.Module) -> Net:
    """A network in normalisation whose weights are drawn."""
    net = Net(MEAN, STD, nn.Flatten(), nn.Sequential(*layers)).double()
    for weight in net.parameters():
        weight.data = torch.randn(weight.shape, dtype=torch.float64, generator=drawn(weight.numel()))
    return net


def linear(classes: int = 3) -> Net:
    return of_layers(nn.Linear(12, classes))


def smooth() -> Net:
    return of_layers(nn.Linear(12, 7), nn.Tanh(), nn.Linear(7, 3))


def residual() -> Net:
    """With batch normalisations in training."""
    return Net(MEAN, STD, SmallResNet(2).build(2, drawn()), Classifier().build(8, 3, drawn(1))).double()


def paid(penalty, net: Net, inputs: Tensor, labels: Tensor = LABELS, loss=CrossEntropy()) -> Tensor:
    forward = Forward(net, len(inputs))
    return penalty(forward, inputs, forward.first(inputs), labels, loss)


def by_weights(penalty, net: Net) -> Tensor:
    gradients = torch.autograd.grad(paid(penalty, net, pixels()), list(net.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in gradients if g is not None])


def test_logistic_regression_pays_the_difference_of_two_softplus():
    """v = sign(p - y) w / |w|, so that h v moves the margin by h |w| towards the other class."""
    net, inputs, labels = linear(2), pixels(), torch.tensor([0, 1, 1, 0, 1])
    weight = net.top[0].weight
    w = ((weight[1] - weight[0]).view(2, 6) / net.std.view(2, 1)).flatten()
    logits = net(inputs.flatten(0, 1)).view(5, 2, 2)
    margin = (logits[..., 1] - logits[..., 0]) * (2 * labels - 1)[:, None]
    rise = (functional.softplus(0.05 * w.norm() - margin) - functional.softplus(-margin)) / 0.05
    torch.testing.assert_close(paid(InputDifference(0.7, h=0.05), net, inputs, labels), 0.7 / 2 * rise.square().mean(), **TOLERANCE)


@pytest.mark.parametrize(("central", "order"), [(None, 1), (True, 2)])
@pytest.mark.parametrize("space", [None, "normalized"])
def test_differences_and_derivatives_agree_to_the_order_of_h(central, order, space):
    """So do their gradients by the weights, though the direction is held fixed. Orders are measured, within 0.1."""
    net, exact = smooth(), InputGradient(0.7, space=space)
    values, gradients = [], []
    for h in (4e-3, 2e-3):
        penalty = InputDifference(0.7, h=h, central=central, space=space)
        values.append((paid(penalty, net, pixels()) - paid(exact, net, pixels())).abs().item())
        gradients.append((by_weights(penalty, net) - by_weights(exact, net)).norm().item())
    assert math.log2(values[0] / values[1]) == pytest.approx(order, abs=0.1)
    assert math.log2(gradients[0] / gradients[1]) == pytest.approx(order, abs=0.1)
    assert values[0] > 0


def test_in_normalised_space_a_linear_network_pays_for_the_weights_it_has_there():
    """grad_z l = W^T (p - e_y); at the pixels each channel's is divided by its standard deviation."""
    net, inputs = linear(), pixels()
    residue = net(inputs.flatten(0, 1)).view(5, 2, 3).softmax(-1) - functional.one_hot(LABELS, 3)[:, None]
    at_z = residue @ net.top[0].weight
    at_x = (at_z.view(5, 2, 2, 6) / net.std.view(2, 1)).flatten(2)
    for space, gradient in (("normalized", at_z), (None, at_x)):
        expected = 0.7 / 2 * gradient.square().sum(-1).mean()
        torch.testing.assert_close(paid(InputGradient(0.7, space=space), net, inputs), expected, **TOLERANCE)
        near = paid(InputDifference(0.7, h=1e-3, central=True, space=space), net, inputs)
        torch.testing.assert_close(near, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("kind", "loss"), [(InputGradient, CrossEntropy()), (InputDifference, CrossEntropy()), (ContrastiveInputGradient, NTXent(0.5))]
)
def test_normalised_space_is_pixel_space_for_a_network_that_is_given_normalised_images(kind, loss):
    net, inside = smooth(), smooth()
    inside.mean.zero_()
    inside.std.fill_(1.0)
    normalised = ((pixels().detach() - net.mean) / net.std).requires_grad_()
    expected = paid(kind(0.7), inside, normalised, loss=loss)
    torch.testing.assert_close(paid(kind(0.7, space="normalized"), net, pixels(), loss=loss), expected, rtol=1e-9, atol=0)


def test_the_large_margin_is_linear_between_its_kinks_and_so_are_its_differences():
    net, inputs, loss = linear(), pixels(), MaxMargin(50.0)
    exact = paid(InputGradient(0.7), net, inputs, loss=loss)
    assert exact > 0
    torch.testing.assert_close(paid(InputDifference(0.7, h=1e-4), net, inputs, loss=loss), exact, rtol=1e-9, atol=0)


@pytest.mark.parametrize("loss", [CrossEntropy(), MaxMargin()])
def test_a_loss_is_the_mean_of_what_each_view_pays(loss):
    logits = torch.randn(5, 2, 3, dtype=torch.float64, generator=drawn())
    torch.testing.assert_close(loss.each(logits, LABELS).mean(), loss(logits, LABELS), **TOLERANCE)
    alone = [loss(logits[i : i + 1, j : j + 1], LABELS[i : i + 1]) for i in range(5) for j in range(2)]
    torch.testing.assert_close(loss.each(logits, LABELS), torch.stack(alone).view(5, 2), **TOLERANCE)


def test_shares_of_classes_are_paid_for_by_their_shares():
    net, shares = smooth(), torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64).expand(5, 3)
    exact = paid(InputGradient(1.0), net, pixels(), shares)
    torch.testing.assert_close(paid(InputDifference(1.0, h=1e-3, central=True), net, pixels(), shares), exact, rtol=1e-4, atol=0)


def test_a_view_without_gradient_pays_nothing_and_one_with_a_tiny_gradient_has_a_direction():
    net = linear()
    net.top[0].bias.data = torch.tensor([1e4, 0.0, 0.0], dtype=torch.float64)
    value = paid(InputDifference(1.0), net, pixels(), torch.zeros(5, dtype=torch.int64))
    assert value == 0
    assert all(g.isfinite().all() for g in torch.autograd.grad(value, list(net.parameters())))
    net.top[0].bias.data[0] = 460.0  # p of the others is 1e-200, and its square is 0
    forward, inputs = Forward(net, 5), pixels()
    output = forward.first(inputs)
    assert InputDifference(1.0)(forward, inputs, output, torch.zeros(5, dtype=torch.int64), CrossEntropy()).isfinite()


@pytest.mark.parametrize("penalty", [InputGradient(0.7), InputDifference(0.7)], ids=lambda p: type(p).__name__)
def test_frozen_norms_make_the_penalty_that_of_every_image_alone(penalty):
    """Batch statistics couple images; running ones do not. In training mode, which is kept."""
    net, frozen = residual(), replace(penalty, frozen_norms=True)
    forward = Forward(net, 5)
    forward.first(pixels())
    kept = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    together = paid_without_first(frozen, net, pixels())
    alone = [
        paid_without_first(penalty, net.eval(), x.detach().requires_grad_(), LABELS[i : i + 1]) for i, x in enumerate(pixels().split(1))
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean(), rtol=1e-9, atol=0)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in net.state_dict().items())
    coupled = paid_without_first(penalty, net.train(), pixels())
    assert abs(coupled / together - 1) > 0.01


def paid_without_first(penalty, net: Net, inputs: Tensor, labels: Tensor = LABELS) -> Tensor:
    forward = Forward(net, len(inputs))
    return penalty(forward, inputs, forward.again(inputs), labels, CrossEntropy())


class Broken(nn.Module):
    """Fails at the second call."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 1:
            raise ArithmeticError
        return x


@pytest.mark.parametrize("frozen", [None, True])
def test_running_statistics_are_updated_once_a_step_and_modes_are_restored_even_after_an_error(frozen):
    left = []
    for penalty in (None, InputDifference(1.0, frozen_norms=frozen), InputGradient(1.0, frozen_norms=frozen)):
        net = residual().float()
        step = Step(CropViews(1), CrossEntropy(), penalty, torch.float32, torch.device("cpu"))
        images = torch.randint(0, 256, (5, 2, 8, 8), generator=drawn(), dtype=torch.uint8)
        sum(step(net, images, LABELS, np.arange(5), Place(0, 1, 0))).backward()
        left.append(dict(net.named_buffers()))
        assert all(module.training for module in net.modules())
    assert all(torch.equal(tensor, other[name]) for other in left[1:] for name, tensor in left[0].items())
    net = Net(MEAN, STD, nn.Sequential(nn.BatchNorm2d(2), nn.Flatten()), nn.Sequential(nn.Linear(12, 3), Broken())).double()
    with pytest.raises(ArithmeticError):
        paid(InputDifference(1.0, frozen_norms=frozen), net, pixels())
    assert net.encoder[0].training
    assert net.encoder[0].track_running_stats
    assert net.encoder[0].num_batches_tracked == 1


@pytest.mark.parametrize("hold", [without_memory, frozen_norms])
def test_norms_that_were_in_eval_mode_stay_there(hold):
    norms = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2).eval())
    with hold(norms):
        norms(torch.rand(3, 2, 2, 2, generator=drawn()))
    assert [norm.training for norm in norms] == [True, False]
    assert [int(norm.num_batches_tracked) for norm in norms] == [0, 0]


def test_an_option_that_is_off_is_the_value_without_it_and_what_cannot_be_is_refused():
    assert InputDifference(1.0, central=False, frozen_norms=False) == InputDifference(1.0)
    assert InputGradient(1.0, frozen_norms=False) == InputGradient(1.0)
    for h in (0.0, 1e-5, -0.1, 2.0, math.nan):
        with pytest.raises(UserError, match=r"^InputDifference\.h = .+: must lie in 1e-4 to 1\. "):
            InputDifference(1.0, h=h)
    with pytest.raises(UserError, match=r"space = 'lab': must be 'normalized' or None"):
        InputGradient(1.0, space="lab")
    with pytest.raises(UserError, match=r"InputDifference.* is not defined for NTXent"):
        paid(InputDifference(1.0), smooth(), pixels(), loss=NTXent(0.5))
    assert InputDifference(0.0)(Forward(smooth(), 5), pixels(), torch.zeros(5, 2, 3), LABELS, CrossEntropy()).item() == 0
