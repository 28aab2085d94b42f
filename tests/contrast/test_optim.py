"""Optimisers against their recurrences written out and against torch's, schedules against published values and their limits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from contrast.component import UserError
from contrast.optim import (
    LARS,
    SGD,
    Adam,
    Cosine,
    CosineSteps,
    DecaySteps,
    LinearDecay,
    RMSProp,
    Warmup,
    linear_scaling,
    sqrt_scaling,
)

GRADIENTS = (0.5, -1.0, 2.0)


def holding(**weights: Tensor) -> nn.ParameterDict:
    """A network of nothing but weights, in float64."""
    return nn.ParameterDict({name: nn.Parameter(weight.double()) for name, weight in weights.items()})


def steps(optimizer, weight: nn.Parameter, gradients, rates=None) -> list[float]:
    """Where a weight of one number is after each gradient."""
    places = []
    for i, gradient in enumerate(gradients):
        for group in optimizer.param_groups:
            group["lr"] = rates[i] if rates else group["lr"]
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        places.append(weight.item())
    return places


@pytest.mark.parametrize(("epoch", "lr"), [(1, 0.0499969), (100, 0.025025), (200, 5e-5)])
def test_pretraining_follows_the_published_cosine_table(epoch, lr):
    """200 epochs from 0.05 at rate 0.1; the table has six digits."""
    assert Cosine(0.1).at(0.05, epoch, 200) == pytest.approx(lr, rel=1e-5)
    assert Cosine() == Cosine(0.1)


def test_linear_classifiers_end_at_the_published_rate():
    assert Cosine(0.2).at(0.1, 30, 30) == pytest.approx(8e-4, rel=1e-12)


@given(lr=st.floats(1e-4, 10), rate=st.floats(0, 1), epochs=st.integers(1, 300))
def test_the_schedule_falls_from_below_lr_to_its_floor_and_is_point_symmetric(lr, rate, epochs):
    """Epochs e and E - e lie symmetrically around the middle of lr and floor; 1e-12 relative to lr."""
    floor, rates = lr * rate**3, [Cosine(rate).at(lr, e, epochs) for e in range(1, epochs + 1)]
    assert rates[-1] == pytest.approx(floor, abs=1e-12 * lr)
    assert all(a >= b - 1e-12 * lr for a, b in zip([lr, *rates], rates, strict=False))
    for e in range(1, epochs):
        assert rates[e - 1] + rates[epochs - e - 1] == pytest.approx(lr + floor, rel=1e-12)


def test_rate_one_keeps_lr_and_rate_zero_ends_at_zero():
    assert [Cosine(1.0).at(0.3, e, 4) for e in (1, 2, 3, 4)] == pytest.approx([0.3] * 4, rel=1e-15)
    assert Cosine(0.0).at(0.3, 4, 4) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_adds_weight_decay_to_the_gradient_and_keeps_lr_outside_the_momentum(nesterov):
    """Three steps of v = 0.9 v + g + wd w, w -= lr (g + wd w + 0.9 v if nesterov else v); to 1e-14."""
    w, v, expected = 1.5, 0.0, []
    for gradient in GRADIENTS:
        slope = gradient + 0.01 * w
        v = 0.9 * v + slope
        w -= 0.1 * (slope + 0.9 * v if nesterov else v)
        expected.append(w)
    net = holding(w=torch.tensor([1.5]))
    assert steps(SGD(0.1, weight_decay=0.01, nesterov=nesterov).build(net), net["w"], GRADIENTS) == pytest.approx(expected, rel=1e-14)


def test_lars_steps_by_a_share_of_the_length_of_the_weights_and_keeps_the_rate_inside_the_momentum():
    """On a block of one number the trust is 0.001 |w| / |g + wd w|; the rate is halved before the third step; to 1e-14."""
    w, v, expected, rates = 1.5, 0.0, [], (0.3, 0.3, 0.15)
    for gradient, rate in zip(GRADIENTS, rates, strict=True):
        slope = gradient + 0.01 * w
        v = 0.9 * v + rate * 0.001 * abs(w) / abs(slope) * slope
        w -= v
        expected.append(w)
    net = holding(w=torch.tensor([1.5]))
    assert steps(LARS(0.3, weight_decay=0.01).build(net), net["w"], GRADIENTS, rates) == pytest.approx(expected, rel=1e-14)


def test_a_first_step_of_lars_is_the_same_share_of_every_layer_whatever_its_gradient():
    net = holding(a=torch.ones(2, 3), b=torch.full((4, 1), 7.0))
    before = {name: weight.detach().clone() for name, weight in net.items()}
    generator = torch.Generator().manual_seed(0)
    for weight in net.values():
        weight.grad = torch.randn(weight.shape, generator=generator, dtype=torch.float64) * 1e4
    LARS(0.3, weight_decay=0.0).build(net).step()
    for name, weight in net.items():
        assert ((weight - before[name]).norm() / before[name].norm()).item() == pytest.approx(0.3 * 0.001, rel=1e-12)


@pytest.mark.parametrize("adapt_biases", [False, True])
def test_lars_leaves_normalisation_and_biases_to_plain_momentum(adapt_biases):
    """Without decay; a weight or gradient of length 0 has trust 1; torch's SGD agrees while the rate is constant; to 1e-12."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    peer = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    peer.load_state_dict(net.state_dict())
    ours = LARS(0.1, weight_decay=0.01, adapt_biases=adapt_biases).build(net)
    theirs = torch.optim.SGD(peer.parameters(), lr=0.1, momentum=0.9)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        for one, other in zip(net.parameters(), peer.parameters(), strict=True):
            one.grad = other.grad = torch.randn(one.shape, generator=generator, dtype=torch.float64)
        ours.step()
        theirs.step()
    plain = {"1.weight", "1.bias"} | (set() if adapt_biases else {"0.bias", "2.bias"})
    same = {n for (n, a), b in zip(net.named_parameters(), peer.parameters(), strict=True) if torch.allclose(a, b, rtol=1e-12, atol=0)}
    assert same == plain
    for weight, slope in ((0.0, 2.0), (3.0, 0.0)):
        alone = holding(w=torch.tensor([[weight]]))
        alone["w"].grad = torch.tensor([[slope]], dtype=torch.float64)
        LARS(0.1, weight_decay=0.0).build(alone).step()
        assert alone["w"].item() == pytest.approx(weight - 0.1 * slope, rel=1e-14)


def test_rmsprop_has_epsilon_inside_the_root_a_mean_square_of_one_at_first_and_the_rate_inside_the_momentum():
    """As tf.compat.v1.train.RMSPropOptimizer(decay=0.9, momentum=0.9, epsilon=1.0) has it; to 1e-14."""
    w, v, square, expected, rates = 1.5, 0.0, 1.0, [], (0.3, 0.3, 0.15)
    for gradient, rate in zip(GRADIENTS, rates, strict=True):
        slope = gradient + 0.01 * w
        square = 0.9 * square + 0.1 * slope**2
        v = 0.9 * v + rate * slope / math.sqrt(square + 1.0)
        w -= v
        expected.append(w)
    net = holding(w=torch.tensor([1.5]))
    assert steps(RMSProp(0.3, weight_decay=0.01).build(net), net["w"], GRADIENTS, rates) == pytest.approx(expected, rel=1e-14)
    outside = torch.optim.RMSprop([torch.nn.Parameter(torch.tensor([1.5]).double())], lr=0.3, alpha=0.9, eps=1.0, momentum=0.9)
    assert steps(outside, outside.param_groups[0]["params"][0], GRADIENTS)[0] != pytest.approx(expected[0], rel=1e-2)


def test_adam_corrects_both_moments():
    """To 1e-12."""
    w, first, second, expected = 1.5, 0.0, 0.0, []
    for t, gradient in enumerate(GRADIENTS, 1):
        slope = gradient + 0.01 * w
        first, second = 0.8 * first + 0.2 * slope, 0.95 * second + 0.05 * slope**2
        w -= 1e-2 * first / (1 - 0.8**t) / (math.sqrt(second / (1 - 0.95**t)) + 1e-8)
        expected.append(w)
    net = holding(w=torch.tensor([1.5]))
    optimizer = Adam(1e-2, beta1=0.8, beta2=0.95, weight_decay=0.01).build(net)
    assert steps(optimizer, net["w"], GRADIENTS) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("make", [SGD, LARS, RMSProp, Adam])
def test_an_optimiser_finds_the_bottom_of_a_bowl(make):
    net = holding(w=torch.tensor([[1.5, -2.0]]))
    optimizer = make(0.1 if make is not LARS else 20.0, weight_decay=0.0).build(net)
    for _ in range(300):
        net["w"].grad = 2 * (net["w"].detach() - 0.5)
        optimizer.step()
    assert (net["w"] - 0.5).abs().max() < 0.05


def test_a_warm_up_is_linear_in_the_steps_and_meets_the_schedule():
    """From 0.01 over 10 epochs of 5 steps to the cosine's value in epoch 10; no step is out of line by 1e-12."""
    schedule, cosine = Warmup(Cosine(0.1)), Cosine(0.1)
    rates = [schedule.within(0.5, epoch, 100, step, 5) for epoch in range(1, 12) for step in range(5)]
    top = cosine.at(0.5, 10, 100)
    assert rates[:50] == pytest.approx([0.01 + (top - 0.01) * i / 50 for i in range(50)], rel=1e-12)
    assert rates[50:] == [cosine.at(0.5, 11, 100)] * 5
    assert schedule.at(0.5, 10, 100) == pytest.approx(top, rel=1e-12)
    assert schedule.at(0.5, 60, 100) == cosine.at(0.5, 60, 100)


def test_the_step_wise_cosine_starts_at_zero_peaks_after_its_warm_up_and_ends_at_zero():
    schedule, steps_an_epoch = CosineSteps(warmup=2), 4
    rates = [schedule.within(0.8, e, 6, i, steps_an_epoch) for e in range(1, 7) for i in range(steps_an_epoch)]
    assert rates[:9] == pytest.approx([0.8 * t / 8 for t in range(8)] + [0.8], abs=1e-15)
    assert rates[8:] == pytest.approx([0.4 * (1 + math.cos(math.pi * t / 16)) for t in range(16)], rel=1e-12)
    assert schedule.at(0.8, 6, 6) == pytest.approx(0, abs=1e-15)
    assert schedule.at(0.8, 2, 6) == pytest.approx(0.8)
    assert CosineSteps(0).within(0.8, 1, 6, 0, 4) == 0.8


def test_the_published_step_schedule_changes_after_its_epochs():
    schedule = DecaySteps(after=(60, 75, 90), factor=0.2)
    assert [schedule.at(5.0, epoch, 100) for epoch in (1, 60, 61, 76, 91, 100)] == pytest.approx([5, 5, 1, 0.2, 0.04, 0.04])
    assert schedule.within(5.0, 61, 100, 3, 7) == schedule.at(5.0, 61, 100)


def test_the_linear_schedule_falls_by_the_same_amount_each_step():
    rates = [LinearDecay().within(1e-3, e, 5, i, 4) for e in range(1, 6) for i in range(4)]
    assert rates == pytest.approx([1e-3 * (1 - t / 20) for t in range(20)], rel=1e-12)
    assert LinearDecay().at(1e-3, 5, 5) == 0


def test_the_two_scaling_rules_agree_where_they_are_published_to():
    """0.3 linear is 0.075 by the root at 4096."""
    assert linear_scaling(0.3, 4096) == pytest.approx(sqrt_scaling(0.075, 4096)) == pytest.approx(4.8)
    assert linear_scaling(0.5, 256) == 0.5


def test_sgd_has_the_protocols_defaults():
    assert SGD(0.05) == SGD(lr=0.05, momentum=0.9, weight_decay=1e-4, nesterov=False)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SGD(0.0), "SGD.lr = 0.0: must be above 0"),
        (lambda: SGD(math.nan), "SGD.lr = nan: must be above 0"),
        (lambda: SGD(0.1, momentum=1.0), "SGD.momentum = 1.0: must be at least 0 and below 1"),
        (lambda: SGD(0.1, weight_decay=-1e-4), "SGD.weight_decay = -0.0001: must be 0 or above"),
        (lambda: SGD(0.1, momentum=0.0, nesterov=True), "SGD.nesterov = True: needs momentum"),
        (lambda: LARS(0.0), "LARS.lr = 0.0: must be above 0"),
        (lambda: LARS(0.1, momentum=-0.1), "LARS.momentum = -0.1: must be at least 0"),
        (lambda: LARS(0.1, coefficient=0.0), "LARS.coefficient = 0.0: must be above 0"),
        (lambda: RMSProp(0.1, decay=1.0), "RMSProp.decay = 1.0: must be at least 0 and below 1"),
        (lambda: RMSProp(0.1, epsilon=0.0), "RMSProp.epsilon = 0.0: must be above 0"),
        (lambda: RMSProp(0.1, weight_decay=math.inf), "RMSProp.weight_decay = inf: must be 0 or above"),
        (lambda: Adam(0.1, beta1=1.0), "Adam.beta1 = 1.0: must be at least 0"),
        (lambda: Adam(0.1, beta2=-0.5), "Adam.beta2 = -0.5: must be at least 0"),
        (lambda: Warmup(Cosine(), epochs=0), "Warmup.epochs = 0: must be at least 1"),
        (lambda: Warmup(Cosine(), start=-1.0), "Warmup.start = -1.0: must be 0 or above"),
        (lambda: Warmup(Warmup(Cosine())), "is a warm-up already"),
        (lambda: CosineSteps(-1), "CosineSteps.warmup = -1: must be 0 or above"),
        (lambda: DecaySteps(()), "DecaySteps.after = .*rising order"),
        (lambda: DecaySteps((5, 5)), "DecaySteps.after = .*rising order"),
        (lambda: DecaySteps((5,), factor=0.0), "DecaySteps.factor = 0.0: must be above 0"),
        (lambda: LinearDecay().within(0.1, 0, 10, 0, 5), "epoch = 0: must lie in 1 to 10"),
        (lambda: Cosine(1.5), "Cosine.rate = 1.5: must lie in 0 to 1"),
        (lambda: Cosine().at(0.1, 0, 10), "epoch = 0: must lie in 1 to 10"),
        (lambda: Cosine().at(0.1, 11, 10), "epoch = 11: must lie in 1 to 10"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(make, text):
    with pytest.raises(UserError, match=text):
        make()
