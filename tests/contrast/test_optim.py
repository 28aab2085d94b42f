"""SGD against its recurrence written out, and the cosine schedule against published values and its own symmetries."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrast.component import UserError
from contrast.optim import SGD, Cosine


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
    gradients, w, v = (0.5, -1.0, 2.0), 1.5, 0.0
    weight = torch.nn.Parameter(torch.tensor([w], dtype=torch.float64))
    optimizer = SGD(0.1, weight_decay=0.01, nesterov=nesterov).build([weight])
    for gradient in gradients:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        slope = gradient + 0.01 * w
        v = 0.9 * v + slope
        w -= 0.1 * (slope + 0.9 * v if nesterov else v)
        assert weight.item() == pytest.approx(w, rel=1e-14)


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
        (lambda: Cosine(1.5), "Cosine.rate = 1.5: must lie in 0 to 1"),
        (lambda: Cosine().at(0.1, 0, 10), "epoch = 0: must lie in 1 to 10"),
        (lambda: Cosine().at(0.1, 11, 10), "epoch = 11: must lie in 1 to 10"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(make, text):
    with pytest.raises(UserError, match=text):
        make()
