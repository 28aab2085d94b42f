"""Points that nobody draws: corners are compared with the space's own refusals, given knobs with what it offers."""

from dataclasses import dataclass, replace

import optuna
import pytest

from contrast import UserError
from contrast.component import require
from sweeps import Sweep
from sweeps.search import checked_knobs, corners, fixed
from tests.world import Score, Train


def space(trial, seed, phase, **arm):
    return {"score": Score(Train(trial.suggest_float("x", 0.0, 1.0), seed, kind=trial.suggest_categorical("kind", ["good", "wild"])))}


def searched(asked=space, **changes):
    return Sweep("searched", asked, **({"trials": 20, "maximize": "score", "seeds": (0, 1)} | changes))


def branching(trial, seed, phase, **arm):
    if trial.suggest_categorical("branch", ["plain", "deep", "deeper"]) == "plain":
        return {"score": Score(Train(0.0, seed))}
    depth = trial.suggest_int("depth", 1, 9, step=4)
    return {"score": Score(Checked(trial.suggest_float("x", 0.5, 2.0, log=True), seed, epochs=depth))}


@dataclass(frozen=True)
class Checked(Train):
    def __post_init__(self):
        require(self.x * self.epochs <= 4, self, "x", "is too much for so many epochs", "Lower it.")


def deep(trial, seed, phase):
    return {"score": Score(Checked(0.5, seed, epochs=trial.suggest_int("depth", 1, 10)))}


def test_every_end_of_every_knob_is_tried_where_it_is_drawn():
    def open_space(trial, seed, phase):
        if trial.suggest_categorical("branch", ["plain", "deep", "deeper"]) == "plain":
            return {"score": Score(Train(0.0, seed))}
        return {"score": Score(Train(trial.suggest_float("x", 0.5, 2.0, log=True), seed, epochs=trial.suggest_int("depth", 1, 9, step=4)))}

    found = [knobs for knobs, _ in corners(searched(open_space), {}, "search")]
    assert found[0] == {"branch": "plain"}
    assert {knobs["branch"] for knobs in found} == {"plain", "deep", "deeper"}
    assert {knobs["x"] for knobs in found if "x" in knobs} == {0.5, 2.0}
    assert {knobs["depth"] for knobs in found if "depth" in knobs} == {1, 9}
    assert len(found) == 5
    for knobs, stages in corners(searched(open_space), {}, "search"):
        assert stages == open_space(fixed(knobs), 0, "search")


def test_a_corner_that_cannot_be_built_is_found():
    with pytest.raises(UserError, match=r"Checked\.x = 0\.5: is too much for so many epochs\. Lower it\."):
        corners(searched(deep), {}, "search")
    with pytest.raises(UserError, match=r"Checked\.x"):
        corners(searched(branching), {}, "search")


def test_a_space_that_returns_no_stages_is_refused():
    for wrong in (None, [], {}, {"score": 1.0}, {1: Train(0.5, 0)}, Train(0.5, 0)):
        with pytest.raises(UserError, match=r"space of sweep 'searched': .*Return \{'accuracy'"):
            corners(searched(lambda trial, seed, phase, wrong=wrong: wrong), {}, "search")


def test_knobs_given_by_hand_are_completed_by_low_ends_and_unknown_ones_refused():
    assert checked_knobs(searched(), {}, {"x": 0.7}) == {"x": 0.7, "kind": "good"}
    with pytest.raises(UserError, match=r"temperatur = 0.1: the sweep 'searched' has no such knob. It has kind, x."):
        checked_knobs(searched(), {}, {"temperatur": 0.1})
    with pytest.raises(UserError, match=r"has no such knob\. It has none\."):
        checked_knobs(searched(lambda trial, seed, phase: {"score": Score(Train(0.5, seed))}), {}, {"x": 0.1})


def test_knobs_that_are_drawn_only_beside_others_can_be_given_too():
    def either(trial, seed, phase):
        epochs = trial.suggest_int("epochs", 1, 3) if trial.suggest_categorical("long", [False, True]) else 1
        return {"score": Score(Train(0.5, seed, epochs))}

    assert checked_knobs(searched(either), {}, {"long": True}) == {"long": True, "epochs": 1}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"x": 0.5}, "kind: the space draws this knob, but the point has only x"),
        ({"x": 1.5, "kind": "good"}, r"x = 1.5: the space does not offer this value \(FloatDistribution"),
        ({"x": 0.5, "kind": "odd"}, "kind = 'odd': the space does not offer this value"),
    ],
)
def test_a_known_point_refuses_what_the_space_does_not_offer(knobs, message):
    with pytest.raises(UserError, match=message):
        space(fixed(knobs), 0, "search")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "name"),
        ({"trials": 0}, "trials"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"seeds": (-1,)}, "seeds"),
        ({"pilot": 3}, "pilot"),
        ({"open": 0}, "open"),
        ({"minimize": "score"}, "maximize"),
        ({"pruner": optuna.pruners.NopPruner()}, "pruner"),
        ({"arms": {"method": ()}}, "arms"),
        ({"arms": {"method": (1, "1")}}, "arms"),
        ({"arms": {"method": ("a",)}, "baseline": "b"}, "baseline"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused_by_field(changes, message):
    with pytest.raises(UserError, match=rf"^Sweep\.{message} = "):
        replace(searched(), **changes)
