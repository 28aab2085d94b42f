"""Knobs draw inside their ranges, and every value of a range builds the component it is for."""

import math

import optuna
import pytest

from contrast import ContrastiveInputGradient, GeneralizedContrastive, MLPHead, NTXent
from search_spaces import batch_size, distribution_weight, learning_rate, penalty_weight, projection_depth, temperature

BUILDS = {
    temperature: NTXent,
    distribution_weight: lambda weight: GeneralizedContrastive(0.1, weight),
    penalty_weight: ContrastiveInputGradient,
    projection_depth: MLPHead,
}


def trials(n=50):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [study.ask() for _ in range(n)]


@pytest.mark.parametrize("knob", BUILDS, ids=lambda knob: knob.__name__)
def test_every_draw_builds_its_component(knob):
    for trial in trials():
        BUILDS[knob](knob(trial))
        assert list(trial.params) == [knob.__name__]


def test_depth_covers_zero_to_four():
    assert {projection_depth(trial) for trial in trials()} == {0, 1, 2, 3, 4}


def test_batches_are_powers_of_two():
    assert all(math.log2(batch_size(trial)).is_integer() for trial in trials())


def test_the_learning_rate_scales_with_the_batch():
    for trial in trials(5):
        small = learning_rate(trial, around=0.1, batch=256)
        assert learning_rate(trial, around=0.1, batch=1024) == pytest.approx(4 * small)
        assert 0.1 / 4 <= small <= 0.1 * 4


def test_temperatures_are_drawn_evenly_on_a_log_scale():
    draws = sorted(math.log(temperature(trial)) for trial in trials(400))
    span = math.log(1.0) - math.log(0.03)
    assert draws[200] == pytest.approx(math.log(0.03) + span / 2, abs=0.15 * span)
