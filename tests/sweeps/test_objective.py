"""What is judged is judged by closed forms: means within a seed first, t bounds by hand, fronts by brute force over all pairs."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import Alignment, Uniformity
from analysis.measure import Drawn
from analysis.statistics import interval
from contrast import CropViews, Digits, UserError
from sweeps import AtMost, Bound, Confirm, Sweep
from sweeps.mlflow_rows import run_rows, summary_rows
from sweeps.objective import Objective, best_first, fronts, matches, ranked, undominated
from sweeps.report import pictures, write_report
from sweeps.results import adopted, candidates_table, status_of
from sweeps.signals import against_objective, planes
from tests.world import WORK, Score, Train, World

numbers = st.integers(-5, 5).map(float)
objectives = st.lists(st.sampled_from([Objective("a", "maximize"), Objective("b", "minimize")]), min_size=1, max_size=3)


def test_matches_are_averaged_within_a_seed_then_over_seeds():
    objective = Objective("pgd/*", "maximize")
    seeds = [{"pgd/0": 0.2, "pgd/1": 0.4, "pgd/1/eps_2": 9.0, "knn": 5.0}, {"pgd/0": 0.5, "pgd/1": 0.7, "knn": 5.0}]
    assert [objective.of_seed(metrics) for metrics in seeds] == pytest.approx([0.3, 0.6])
    assert objective.over_seeds([0.3, 0.6]) == pytest.approx(0.45)
    with pytest.raises(UserError, match=r"objective = 'pgd/\*': matches none of the keys knn"):
        objective.of_seed({"knn": 1.0})
    with pytest.raises(UserError, match=r"constraint = 'pgd/\*': matches none of the keys knn"):
        AtMost("pgd/*", 1.0).violation([{"knn": 1.0}])


@given(st.sampled_from(["a", "a/*", "*", "*/b", "a.c", "a/*/b"]), st.lists(st.sampled_from(["a", "a/b", "a/c/b", "abc", "b", "a.c"])))
def test_a_star_stands_for_one_segment(pattern, keys):
    def one_by_one(key):
        wanted, found = pattern.split("/"), key.split("/")
        return len(wanted) == len(found) and all(w in ("*", f) for w, f in zip(wanted, found, strict=True))

    assert matches(pattern, keys) == [key for key in keys if one_by_one(key)]


def test_the_bound_is_the_worse_end_of_the_t_interval():
    values = [70.0, 72.0, 71.0, 73.0]
    half = 3.182446305284263 * math.sqrt(5 / 3) / 2  # the 97.5 % quantile of t with 3 degrees of freedom, from a table
    lower, upper = Objective("a", "maximize", bound=True), Objective("a", "minimize", bound=True)
    assert lower.over_seeds(values) == pytest.approx(71.5 - half)
    assert upper.over_seeds(values) == pytest.approx(71.5 + half)
    assert (lower.name, upper.name) == ("lower bound of a", "upper bound of a")
    assert math.isnan(lower.over_seeds([70.0]))
    assert math.isnan(lower.over_seeds([70.0, math.inf]))


def test_a_spread_has_the_mean_that_is_judged_and_counts_what_seeds_share_once():
    found = Objective("a", "maximize").spread([("one", 1.0), ("one", 1.0), ("other", 4.0)])
    assert (found.mean, found.n) == (2.0, 2)
    assert found.half == pytest.approx(interval([1.0, 4.0]).half)
    assert found.mean == Objective("a", "maximize").over_seeds([1.0, 1.0, 4.0])
    assert Objective("a", "maximize").spread([("one", 1.0), ("other", float("nan"))]) is None


def test_better_follows_the_direction():
    assert Objective("a", "maximize").better(2, 1)
    assert Objective("a", "minimize").better(1, 2)
    assert not Objective("a", "minimize").better(1, 1)


@given(objectives.flatmap(lambda asked: st.tuples(st.just(asked), st.lists(st.tuples(*[numbers] * len(asked)), max_size=12))))
def test_a_front_is_what_nothing_left_dominates(case):
    asked, points = case

    def dominates(a, b):
        good = [(o.sign * x, o.sign * y) for o, x, y in zip(asked, a, b, strict=True)]
        return all(x >= y for x, y in good) and any(x > y for x, y in good)

    found, left = fronts(points, asked), list(range(len(points)))
    for front in found:
        assert front == [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
        left = [i for i in left if i not in front]
    assert not left
    place = {i: f for f, front in enumerate(found) for i in front}
    order = ranked(points, asked)
    assert sorted(order) == list(range(len(points)))
    assert [place[i] for i in order] == sorted(place.values()) or len(asked) == 1


def test_on_a_front_ends_come_first_then_the_lonely_then_the_order_of_draw():
    asked = (Objective("a", "maximize"), Objective("b", "maximize"))
    points = [(0.0, 10.0), (1.0, 9.0), (2.0, 8.0), (6.0, 3.0), (10.0, 0.0), (0.0, 0.0)]
    # distances of the inner points, by hand: 2/10 + 2/10, 5/10 + 6/10, 8/10 + 8/10; the last point is on the second front
    assert ranked(points, asked) == [0, 4, 3, 2, 1, 5]


@given(st.lists(numbers, max_size=12), st.sampled_from(["maximize", "minimize"]))
def test_with_one_objective_the_order_is_by_value_then_by_draw(values, direction):
    sign = -1 if direction == "maximize" else 1
    expected = sorted(range(len(values)), key=lambda i: (sign * values[i], i))
    assert ranked([(value,) for value in values], [Objective("a", direction)]) == expected


@given(st.lists(st.tuples(st.none() | numbers, st.booleans(), st.booleans()), max_size=8), st.sampled_from(["maximize", "minimize"]))
def test_whoever_breaks_a_constraint_is_never_best_and_whoever_was_raced_out_is_behind_all_others(told, direction):
    objective = Objective("a", direction)
    everyone = [SimpleNamespace(values=None if v is None else [v], feasible=feasible, raced=raced) for v, feasible, raced in told]
    order = best_first(everyone, [objective])
    assert {id(one) for one in order} == {id(one) for one in everyone if one.values and one.feasible}
    for ahead, behind in pairwise(order):
        assert ahead.raced <= behind.raced
        assert ahead.raced < behind.raced or not objective.better(behind.values[0], ahead.values[0])
    first = max((objective.sign * one.values[0] for one in order), default=None)
    assert undominated(everyone, [objective]) == [one for one in everyone if one in order and objective.sign * one.values[0] == first]


def space(trial, seed, phase):
    """Two measures that cannot both be best: one likes x = 0.3, the other more epochs of less x."""
    net = Train(trial.suggest_float("x", 0, 1), seed)
    return {"score": Score(net), "off": Score(net, bias=trial.suggest_float("bias", 0, 1))}


@dataclass(frozen=True)
class Unlabelled(Score):
    """Reads no labels."""

    label_free: ClassVar[bool] = True


def test_the_report_shows_label_free_signals_against_the_objective():
    def space(trial, seed, phase, method):
        net = Train(trial.suggest_float("x", 0, 1), seed)
        return {"score": Score(net), "signal": Unlabelled(net), "more/signal": Unlabelled(net, bias=0.5)}

    with World() as world:
        sweep = Sweep("free", space, arms={"method": ["a", "b"]}, trials=3, maximize="score", seeds=(0, 1))
        population = world.launch(sweep)
        first, second = against_objective(population)
        assert (first.name, second.name) == ("more/signal-signal", "signal-signal")
        (axes,) = second.figure.axes
        for line, arm in zip(axes.lines, "ab", strict=True):
            runs = [c.of_phase("search") for c in population.candidates.values() if c.label == arm and c.state == "complete"]
            expected = [np.mean([r.metrics[name] for r in each]) for each in runs for name in ("signal", "score")]
            assert line.get_xydata().flatten() == pytest.approx(expected)
            assert [value for row in second.data.rows if row[0] == arm for value in row[1:]] == pytest.approx(expected)
        shown = pictures(population)
        assert {"signal-signal", "more-signal-signal"} <= {picture.stem for picture in shown}
        assert all(picture.data is not None for picture in shown)


def test_a_plane_is_of_alignment_and_uniformity_that_read_the_same_stages_and_images():
    net, other, data = Train(0.1, 0), Train(0.1, 1), Digits()

    def drawn(measure, name):
        return [Drawn("a", "", 0, {name: 0.5}, {}, measure)]

    aligned, projected = (drawn(Alignment(of, on=data, views=CropViews()), "alignment") for of in (net, other))
    families = [("al", aligned), ("un", drawn(Uniformity(net, on=data), "uniformity")), ("knn", drawn(Score(net), "score"))]
    (picture,) = planes(families)
    assert picture.name == "al-plane"
    assert picture.data.columns[-2:] == ("alignment", "uniformity")
    assert len(picture.data.rows) == 2
    assert picture.figure.axes[0].lines[-1].get_xydata().tolist() == [[0.5, 0.5]]
    assert planes([("al", projected), *families[1:]]) == []
    elsewhere = drawn(Uniformity(net, on=Digits(per_class=5)), "uniformity")
    assert planes([("al", aligned), ("un", elsewhere)]) == [], "two data sets are no plane"


def several(**changes):
    declared = {"trials": 6, "maximize": "score", "minimize": "off", "seeds": (0, 1), "open": 2}
    return Sweep("several", space, **(declared | changes))


def test_with_several_objectives_every_candidate_runs_on_all_seeds_at_once_and_the_front_is_confirmed():
    with World() as world:
        sweep = several(confirm=Confirm(2, (7, 8)))
        population = world.launch(sweep)
        order = [net for net, epoch in WORK if isinstance(net, Train) and epoch == 4]
        assert [net.seed for net in order[:2]] == [0, 1]
        for c in population.candidates.values():
            assert (c.state, c.n) == ("complete", 2)
            assert c.values == tuple(np.mean([r.metrics[key] for r in c.of_phase("search")]) for key in ("score", "off"))
        values = [c.values for c in population.candidates.values()]
        assert [c.number for c in population.leading()] == fronts(values, sweep.objectives)[0]
        confirmed = [c.number for c in population.candidates.values() if c.of_phase("confirm")]
        assert confirmed == sorted(ranked(values, sweep.objectives)[:2])
        assert [one["values"] for one in status_of(sweep, world.root)["best"]] == [
            {"score": c.values[0], "off": c.values[1]} for c in population.leading()
        ]
        table = candidates_table(adopted(sweep, world.root))
        assert table.columns[:4] == ("candidate", "state", "score", "off")
        assert [int(row[0]) for row in table.rows] == ranked(values, sweep.objectives)


def test_the_report_shows_the_front_and_each_objective_against_the_knobs():
    with World() as world:
        population = world.launch(several())
        page = write_report(population, world.root)
        text = page.read_text(encoding="utf-8")
        assert text.count("On the front: candidate (number ") == len(population.leading())
        drawn = {path.stem for path in page.parent.rglob("*.svg")}
        assert drawn >= {"front", "knobs", "knobs-2"}
        assert drawn == {path.stem for path in (page.parent / "figures").glob("*.csv")}, "each picture has its numbers beside it"
        (front,) = [picture.data for picture in pictures(population) if picture.name == "front"]
        assert [row[3:] for row in front.rows if row[1]] == [c.values for c in population.candidates.values() if c in population.leading()]
        (tags, *_) = (run_rows(population.sweep, c, population.graph)[0].tags for c in population.candidates.values())
        assert summary_rows(population)[0].tags["front"] == ", ".join(str(c.number) for c in population.leading())
        assert (tags["objective/1"], tags["objective/2"]) == ("maximize score", "minimize off")


def test_a_bound_is_what_the_candidate_is_judged_by():
    with World() as world:
        sweep = several(maximize=Bound("score"), minimize=None, seeds=(0, 1, 2))
        for c in world.launch(sweep).candidates.values():
            seeds = [r.metrics["score"] for r in c.replicates]
            assert c.values == (Objective("score", "maximize", bound=True).over_seeds(seeds),)
            assert c.values[0] < np.mean(seeds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maximize": Bound("score"), "seeds": (0,)}, "maximize = Bound(key='score'): needs an interval over seeds. Give two seeds"),
        ({"maximize": ()}, "maximize = (): must name a key"),
        ({"maximize": ("score", "score")}, "maximize = ('score', 'score'): names a key twice. Name each objective once."),
        ({"minimize": "score"}, "maximize = 'score': names a key twice. Name each objective once."),
        ({"maximize": ("score", 3)}, "maximize = ('score', 3): must be text or a Bound or a tuple of texts or values of Bound or None"),
        ({"pilot": 2}, "pilot = 2: judges by one objective, and there are several. Leave it out: every candidate runs on all its seeds."),
        ({"monitor": "score", "pruner": optuna.pruners.NopPruner()}, "pruner = "),
        ({"monitor": "score"}, "monitor = 'score': judges by one objective, and there are several"),
    ],
)
def test_objectives_that_cannot_be_meant_are_refused_by_field(changes, message):
    with pytest.raises(UserError) as refused:
        replace(several(), **changes)
    assert str(refused.value).startswith(f"Sweep.{message}")
