"""Going on is running the same command again; extending is running a larger declaration. Nothing saved is computed twice.

A kill is an exception that nothing catches, raised before or after any message, and at any step by which the store or a
candidate's file changes the disk. Every epoch that is computed is counted.
"""

import json
import os
import shutil
from dataclasses import replace
from functools import cache

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast.component import UserError
from sweeps import Confirm, Sweep
from sweeps.engines import inline
from tests.world import WORK, InParts, Score, Spread, Train, World, table


@pytest.fixture
def world():
    with World() as opened:
        yield opened


def space(trial, seed, phase, epochs=4, lazies=(False, True)):
    x, lazy = trial.suggest_float("x", 0, 1), trial.suggest_categorical("lazy", lazies)
    net = Train(0.25 if lazy else x, seed, epochs)
    return {"score": Score(net), "long": InParts(net)}


def with_one_more_measure(trial, seed, phase):
    stages = space(trial, seed, phase)
    return stages | {"bias": Score(stages["score"].of, bias=5.0)}


def tpe(seed):
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=2)


def across(done):
    return {"spread": Spread(tuple(run.stages["score"].of for run in done))}


class PruneFar(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.last_step >= 50 and trial.params["x"] > 0.5


def searched(asked=space, **changes):
    declared = {"trials": 4, "maximize": "score", "seeds": (0, 1), "confirm": Confirm(1, (7, 8)), "sampler": tpe, "open": 2}
    return Sweep("searched", asked, **(declared | {"across": across} | changes))


def pruned():
    return searched(lambda trial, seed, phase: space(trial, seed, phase, lazies=(False,)), monitor="score", pruner=PruneFar())


@cache
def undisturbed(declare):
    with World() as world:
        return table(world.launch(declare())), world.records(), dict(WORK)


class Killed(BaseException):
    """The process is gone."""


class Reaper:
    """Counts messages, renames, links and flushes, and ends the process at one of them."""

    def __init__(self, patch):
        self.left = None
        for module, name in ((os, "fsync"), (os, "replace"), (os, "link"), (inline, "tell"), (shutil, "copyfile")):
            patch.setattr(module, name, self._counted(getattr(module, name)))

    def _counted(self, call):
        def counted(*args, **options):
            for done in (False, True):
                if self.left is not None:
                    self.left -= 1
                    if self.left < 0:
                        raise Killed
                if not done:
                    result = call(*args, **options)
            return result

        return counted


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=4), st.sampled_from([searched, pruned]))
def test_killed_at_any_moment_it_repeats_an_epoch_at_most_and_ends_the_same(moments, declare):
    expected, records, work = undisturbed(declare)
    with World() as world, pytest.MonkeyPatch.context() as patch:
        reaper, kills = Reaper(patch), 0
        for moment in moments:
            reaper.left = moment
            try:
                world.launch(declare())
            except Killed:
                kills += 1
            reaper.left = None
        assert table(world.launch(declare())) == expected
        assert world.records() == records
        assert set(WORK) == set(work)
        assert sum(WORK.values()) - sum(work.values()) <= kills


def test_the_same_command_again_computes_nothing_and_says_so(world):
    first = world.launch(searched())
    computed = dict(WORK)
    before = {path: path.stat().st_mtime_ns for path in world.root.rglob("*.*") if path.is_file()}
    again = world.launch(searched())
    assert computed == WORK
    assert table(again) == table(first)
    assert before == {path: path.stat().st_mtime_ns for path in world.root.rglob("*.*") if path.is_file()}
    assert (len(first.graph.computed), len(first.graph.reused)) == (len(world.records()), 0)
    assert (len(again.graph.computed), len(again.graph.reused)) == (0, len(world.records()))


EXTENDED = {
    "trials": searched(trials=6),
    "seeds": searched(seeds=(0, 1, 2)),
    "fresh seeds": searched(confirm=Confirm(1, (7, 8, 9))),
    "more confirmed": searched(confirm=Confirm(2, (7, 8))),
    "measures": searched(with_one_more_measure),
}


@pytest.mark.parametrize("declared", EXTENDED.values(), ids=EXTENDED)
def test_an_extended_sweep_computes_only_what_is_new(declared):
    with World() as world:
        at_once = table(world.launch(declared))
        needed = set(WORK)
    with World() as world:
        world.launch(searched())
        before = set(WORK)
        assert table(world.launch(declared)) == at_once
        assert set(WORK.values()) == {1}
        assert needed <= set(WORK)
        assert set(WORK) - before == needed - before


def test_one_more_measure_computes_that_measure_alone(world):
    world.launch(searched())
    before = set(WORK)
    world.launch(searched(with_one_more_measure))
    assert {(type(stage), stage.bias) for stage, _ in set(WORK) - before} == {(Score, 5.0)}


def test_a_sweep_extended_by_choices_draws_them_and_keeps_what_it_had(world):
    narrow = searched(lambda trial, seed, phase: space(trial, seed, phase, lazies=(False,)), across=None)
    first = table(world.launch(narrow))
    wider = world.launch(searched(trials=12, across=None))
    assert {number: row[1:5] for number, row in table(wider).items() if number < 4} == {n: row[1:5] for n, row in first.items()}
    assert {c.knobs["lazy"] for c in wider.candidates.values()} == {False, True}
    assert {type(d).__name__ + str(getattr(d, "choices", "")) for d in wider.candidates[0].distributions.values()} == {
        "FloatDistribution",
        "CategoricalDistribution(False, True)",
    }


def test_a_sweep_made_smaller_again_leaves_the_rest_alone(world):
    small = table(world.launch(searched()))
    world.launch(searched(trials=6))
    computed = dict(WORK)
    assert table(world.launch(searched())) == small
    assert computed == WORK


def test_with_a_missing_file_the_candidate_and_those_after_it_are_drawn_again(world):
    expected = table(world.launch(searched()))
    computed = dict(WORK)
    (world.root / "sweeps" / "searched" / "candidates" / "00001.json").unlink()
    assert table(world.launch(searched())) == expected
    assert computed == WORK


def test_a_torn_candidate_file_is_named(world):
    world.launch(searched())
    path = world.root / "sweeps" / "searched" / "candidates" / "00002.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match=r"00002.json: is not a candidate's file .* Delete it"):
        world.launch(searched())


CHANGED = {
    "other epochs": (lambda t, s, p: space(t, s, p, epochs=5), r"was [0-9a-f]{8} and is now [0-9a-f]{8}"),
    "other epochs to confirm": (lambda t, s, p: space(t, s, p, epochs=4 + (p == "confirm")), r"was [0-9a-f]{8} and is now [0-9a-f]{8}"),
    "other epochs of a later seed": (lambda t, s, p: space(t, s, p, epochs=4 + (s == 1)), r"at seed 1 was [0-9a-f]{8} and is now"),
    "a new knob": (lambda t, s, p: space(t, s, p) | {"y": Score(Train(t.suggest_float("y", 0, 1), s))}, "draws this knob"),
    "fewer choices": (lambda t, s, p: space(t, s, p, lazies=(True,)), "does not offer this value"),
}


@pytest.mark.parametrize(("asked", "message"), CHANGED.values(), ids=CHANGED)
def test_a_space_that_changed_under_a_begun_sweep_is_refused(world, asked, message):
    world.launch(searched())
    files = {path: path.read_bytes() for path in world.root.rglob("*.json")}
    with pytest.raises(UserError, match=rf"sweep 'searched'.*candidate \d.*{message}.*another name"):
        world.launch(searched(asked))
    assert files == {path: path.read_bytes() for path in world.root.rglob("*.json")}


def test_the_refusal_names_both_fingerprints(world):
    population = world.launch(searched())
    before = population.candidates[0].replicates[0].fingerprints["score"]
    net = population.candidates[0].replicates[0].stages["score"].of
    now = population.graph.identity(Score(replace(net, epochs=5)))
    with pytest.raises(UserError, match=f"score of candidate 0 at seed 0 was {before[:8]} and is now {now[:8]}"):
        world.launch(searched(lambda trial, seed, phase: space(trial, seed, phase, epochs=5)))


def test_candidates_of_other_arms_are_refused(world):
    arms = searched(lambda t, s, p, epochs: space(t, s, p, epochs), arms={"epochs": (3, 4)})
    world.launch(arms)
    with pytest.raises(UserError, match="belongs to arm '3', the declaration says '5'"):
        world.launch(replace(arms, arms={"epochs": (5, 4)}))


def test_a_stage_whose_file_changed_runs_again_and_comes_out_the_same(world):
    expected = table(world.launch(searched()))
    computed = dict(WORK)
    path = next((world.root / "store" / "Train").glob("*/*/arrays.npz"))
    altered = bytearray(path.read_bytes())
    altered[-1] ^= 1
    path.write_bytes(altered)
    assert table(world.launch(searched())) == expected
    repeated = {work for work in WORK if WORK[work] > computed[work]}
    assert len({stage for stage, _ in repeated}) == 1
    assert len(repeated) == 4


def test_a_pruned_candidate_stays_pruned(world):
    expected = table(world.launch(pruned()))
    computed = dict(WORK)
    saved = [json.loads(path.read_text())["candidate"] for path in (world.root / "sweeps" / "searched" / "candidates").glob("*.json")]
    assert {one["state"] for one in saved} == {"complete", "pruned"}
    assert table(world.launch(pruned())) == expected
    assert computed == WORK
