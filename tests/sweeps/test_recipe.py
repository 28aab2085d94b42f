"""Names of stages tell them apart and recipes say all that is on; which metrics a run shows does not depend on how far it is."""

import math
import statistics
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.measure import Measure
from contrast.component import Component
from contrast.stage import Stage
from sweeps.candidate import Candidate, Replicate
from sweeps.graph import Graph
from sweeps.points import Point, fitted, over_seeds
from sweeps.recipe import LONGEST, labels, reached, recipe
from sweeps.standing import Result, standing
from sweeps.store import Store


@dataclass(frozen=True)
class Loss(Component):
    temperature: float = 0.1
    margin: float | None = None


@dataclass(frozen=True)
class Train(Stage):
    seed: int
    loss: Loss = Loss()

    def run(self, workspace):
        return {"done": 1.0}
        yield {}


@dataclass(frozen=True)
class FineTune(Stage):
    of: Stage
    classes: tuple[int, ...]
    epochs: int = 3

    def run(self, workspace):
        return {"done": 1.0}
        yield {}


@dataclass(frozen=True)
class Score(Measure):
    steps: int = 10

    def measure(self, model, workspace):
        return {"score": 0.0}


NET = Train(0)
TASKS = [FineTune(NET, (0, 1)), FineTune(NET, (2, 3))]


def test_what_is_needed_comes_first_and_once():
    assert reached([Score(TASKS[0]), Score(TASKS[1]), NET]) == [NET, TASKS[0], Score(TASKS[0]), TASKS[1], Score(TASKS[1])]


@pytest.mark.parametrize(
    ("stages", "names"),
    [
        ({"score": Score(TASKS[0])}, {Score(TASKS[0]): "score", NET: "train", TASKS[0]: "fine_tune"}),
        ({"score/a": Score(TASKS[0]), "score/b": Score(TASKS[1])}, {TASKS[0]: "fine_tune/a", TASKS[1]: "fine_tune/b", NET: "train"}),
        (
            {"x/a/0": Score(TASKS[0]), "x/a/1": Score(TASKS[0], 5), "x/b/0": Score(TASKS[1])},
            {TASKS[0]: "fine_tune/a", TASKS[1]: "fine_tune/b/0"},
        ),
        ({"x": Score(TASKS[0]), "y": Score(TASKS[1]), "both": Score(tuple(TASKS))}, {TASKS[0]: "fine_tune/x", TASKS[1]: "fine_tune/y"}),
        ({"both": Score(tuple(TASKS))}, {TASKS[0]: "fine_tune/0", TASKS[1]: "fine_tune/1"}),
        ({"net": NET}, {NET: "train"}),
    ],
)
def test_names_tell_stages_apart(stages, names):
    found = labels(stages)
    assert names.items() <= found.items()
    assert set(found) == set(reached(stages.values()))
    assert len(set(found.values())) == len(found)


def test_a_recipe_says_what_is_on_and_what_is_shared_once():
    assert recipe({"score/a": Score(TASKS[0]), "score/b": Score(TASKS[1], steps=20)}) == {
        "score/a": "Score(of=fine_tune/a, steps=10)",
        "score/b": "Score(of=fine_tune/b, steps=20)",
        "train.seed": "0",
        "train.loss": "Loss",
        "train.loss.temperature": "0.1",
        "fine_tune.of": "train",
        "fine_tune.epochs": "3",
        "fine_tune/a.classes": "(0, 1)",
        "fine_tune/b.classes": "(2, 3)",
    }


def test_a_long_value_is_cut():
    (value,) = (v for k, v in recipe({"f": FineTune(NET, tuple(range(1000)))}).items() if k == "fine_tune.classes")
    assert len(value) == LONGEST
    assert value.startswith("(0, 1, 2, ")


values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)


@given(values, st.integers(0, 3))
def test_more_seeds_add_steps_and_change_none(sample, fewer):
    seeds = [Result(value, 1000 + i) for i, value in enumerate(sample)]
    before, after = over_seeds("k", seeds[: max(1, len(seeds) - fewer)]), over_seeds("k", seeds)
    for few, many in zip(before, after, strict=True):
        for key, column in few.items():
            assert many[key][: len(column)] == column


@given(values)
def test_means_and_intervals_follow_the_formula(sample):
    mean, half, sd = over_seeds("k", [Result(value, 5) for value in sample])
    n, scale = len(sample), max(map(abs, sample)) + 1
    assert [point.step for point in mean["k"]] == list(range(1, n + 1))
    assert mean["k"][-1].value == pytest.approx(statistics.fmean(sample), abs=1e-12 * scale)
    assert (len(half["k/half"]), len(sd["k/sd"])) == (n - 1, n - 1)
    if n > 1:
        spread = statistics.stdev(sample)
        assert sd["k/sd"][-1].value == pytest.approx(spread, rel=1e-9, abs=1e-12 * scale)
        expected = stats.t.ppf(0.975, n - 1) * spread / math.sqrt(n)
        assert half["k/half"][-1].value == pytest.approx(expected, rel=1e-9, abs=1e-10 * scale)


@given(st.lists(st.integers(0, 3), max_size=60), st.data())
def test_what_a_run_shows_once_it_shows_always(lengths, data):
    columns = {f"k{i}": [Point(f"k{i}", 1.0, 0, step) for step in range(n)] for i, n in enumerate(lengths)}
    early = {key: column[: data.draw(st.integers(0, len(column)))] for key, column in columns.items()}
    assert set(fitted((early, 24)).points) <= set(fitted((columns, 24)).points)


def test_the_first_value_that_is_not_finite_ends_the_means():
    mean, half, _ = over_seeds("k", [Result(1.0, 0), Result(2.0, 0), Result(math.nan, 0), Result(3.0, 0)])
    assert [point.step for point in mean["k"]] == [1, 2, 3]
    assert [point.step for point in half["k/half"]] == [2]
    shown = fitted((mean, 10))
    assert [(point.step, point.value) for point in shown.points] == [(1, 1.0), (2, 1.5)]
    assert shown.tags == {"nonfinite.k": "nan at step 3"}


@pytest.mark.parametrize(
    ("state", "verdict"), [("open", "open"), ("pruned", "pruned"), ("diverged", "stopped"), ("failed", "stopped"), ("complete", "open")]
)
def test_a_replicate_that_began_and_ended_nowhere_stands_as_its_candidate_says(tmp_path, state, verdict):
    graph = Graph(Store.open(tmp_path))
    store, replicate = graph.store, Replicate(0, "search", {"score": Score(NET)}, {})
    candidate = Candidate(0, 0, "", {}, {}, {}, [replicate], state, reason="it was too slow")
    assert standing(candidate, replicate, graph).begun == {}
    first = store.begin(NET, graph.identity(NET))
    began = standing(candidate, replicate, graph).start
    store.begin(NET, graph.identity(NET))
    found = standing(candidate, replicate, graph)
    assert (found.verdict, found.reason) == (verdict, "it was too slow" if state == "pruned" else "")
    assert list(found.begun) == [NET]
    assert found.start == began == int(int(first.name.partition("-")[0], 16) / 1e6)
