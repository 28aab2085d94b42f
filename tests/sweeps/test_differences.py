"""The table of differences compares what may be compared: each arm's best, measures of one unit."""

from dataclasses import dataclass, replace

import pytest

from sweeps import Confirm, Sweep
from sweeps.differences import differences_table
from sweeps.mlflow_rows import run_rows
from sweeps.report import families
from sweeps.results import candidates_table, results_table
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


def test_what_seeds_share_is_one_in_every_table_and_picture(world):
    def space(trial, seed, phase, arm):
        x = trial.suggest_float("x", 0, 1)
        return {"score": Score(Train(x, seed if arm else 0)), "of/a": Score(Train(x, seed)), "of/b": Score(Train(x, 7), 1.0)}

    shared = Sweep("shared", space, arms={"arm": [0, 1]}, baseline="0", maximize="score", trials=1, seeds=(0, 1, 2), pilot=3)
    sweep = replace(shared, confirm=Confirm(1, (3, 4, 5, 6)))
    population = world.launch(sweep)
    assert sorted(row[2].n for row in candidates_table(population).rows) == [1, 3]
    assert [[cell.n for cell in row[1:]] for row in results_table(population).rows] == [[1, 4, 1], [4, 4, 1]]
    assert {name: value.n for (name, _), value in differences(differences_table(population)).items()} == {
        "score": 4,
        "of (mean of 2)": 4,
        "of/a": 4,
        "of/b": 1,
    }
    drawn = [(family.segment, one.method, one.panel) for family, found in families(population).items() for one in found]
    assert sorted(drawn.count(one) for one in set(drawn)) == [1, 1, 1, 4, 4, 4]
    for candidate in population.candidates.values():
        steps = {point.key: point.step for point in run_rows(sweep, candidate, population.graph)[0].metrics}
        fixed = candidate.label == "0"
        assert [steps[key] for key in ("score", "search/score", "objective", "of/b")] == ([1, 1, 3, 1] if fixed else [4, 3, 3, 1])
        assert ("score/half" in steps) != fixed
