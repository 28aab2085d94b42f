"""The table of differences compares what may be compared: each arm's best, measures of one unit."""

from dataclasses import dataclass

import pytest

from sweeps import Confirm, Sweep
from sweeps.differences import differences_table
from tests.world import Score, Train, World


@pytest.fixture
def world():
    with World() as opened:
        yield opened


def differences(table):
    return {row[:2]: row[3] for row in table.rows if row[3] is not None}


def mean_difference(a, b, key="score"):
    of = [[r.metrics[key] for r in c.of_phase("confirm")] for c in (a, b)]
    return sum(x - y for x, y in zip(*of, strict=True)) / len(of[0])


@pytest.mark.parametrize("top", [1, 2, 3])
def test_of_several_confirmed_candidates_each_arms_best_of_the_search_is_compared(world, top):
    def space(trial, seed, phase, arm):
        return {"score": Score(Train(trial.suggest_float("x", 0, 1) + 0.01 * arm, seed))}

    sweep = Sweep("several", space, arms={"arm": [0, 1]}, baseline="0", maximize="score", trials=6, confirm=Confirm(top, (1, 2, 3)))
    population = world.launch(sweep)
    base, other = (max((c for c in population.candidates.values() if c.label == arm), key=lambda c: c.values) for arm in "01")
    table = differences_table(population)
    assert differences(table)["score", "1"].mean == pytest.approx(mean_difference(other, base))
    assert f"0 #{base.number}, 1 #{other.number}" in table.footer


@dataclass(frozen=True)
class Meter(Score):
    """Counts in a unit."""

    norm: str = "linf"
    unit = ("norm",)


def test_means_are_taken_over_measures_of_one_class_and_unit(world):
    def space(trial, seed, phase, arm):
        net = Train(0.1 * arm, seed)
        attacks = {"rep/a": Meter(net), "rep/b": Meter(net, 1.0), "rep/c": Meter(net, norm="l2"), "rep/d": Meter(net, 2.0, norm="l2")}
        return {"rep/knn": Score(net), **attacks, "loss/x": net, "loss/y": Train(0.2, seed)}

    population = world.launch(Sweep("units", space, arms={"arm": [0, 1]}, baseline="0", seeds=(0, 1, 2)), searching=False)
    found = differences(differences_table(population))
    means = [name for name, _ in found if "mean of" in name]
    assert means == ["rep-linf (mean of 2)", "rep-l2 (mean of 2)"]
    assert found["rep-l2 (mean of 2)", "1"].mean == pytest.approx((found["rep/c", "1"].mean + found["rep/d", "1"].mean) / 2)
    assert len(found) == 7 + 2
