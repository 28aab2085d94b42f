"""What ends a pilot early, and what does not: collapse, the pruner, its audit, and a label-free signal behind its gate."""

import math
from dataclasses import dataclass, replace

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from analysis import KNN, Uniformity
from contrast import SGD, CropViews, Digits, MLPHead, NTXent, Pretrain, SmallResNet
from contrast.component import UserError
from contrast.losses.loss import Loss
from contrast.signals import feature_std, rankme
from contrast.stage import Memory, extract
from sweeps import Sweep
from sweeps.audit import in_words, stopping
from sweeps.engines.worker import execute
from sweeps.gate import FEWEST, family, gate
from sweeps.launch_checks import check_corners, checker
from sweeps.pilots import audited, collapsed
from sweeps.results import status_of
from tests.world import Score, Train, World

turns = st.lists(st.integers(0, 5), min_size=1, max_size=30)
FAST = settings(max_examples=15, deadline=None)


@pytest.fixture
def world():
    with World() as opened:
        yield opened


def random_points(seed):
    return optuna.samplers.RandomSampler(seed=seed)


class PruneFar(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.last_step >= 50 and trial.params["x"] > 0.5


def watched(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed))}


def searched(space=watched, **changes):
    declared = {"trials": 8, "maximize": "score", "seeds": (0, 1), "sampler": random_points, "open": 2, "monitor": "score"}
    return Sweep("searched", space, **(declared | {"pruner": PruneFar()} | changes))


LOW, HIGH = {"rankme": 1.5, "feature_std": 0.9}, {"rankme": 7.0, "feature_std": 0.9}
FLAT = {"rankme": 7.0, "feature_std": 0.01}


@given(st.lists(st.sampled_from([LOW, HIGH, FLAT, {}]), max_size=8))
def test_collapse_is_two_reports_in_a_row_below_either_threshold(curve):
    reports = [metrics for metrics in curve if metrics]
    expected = len(reports) >= 2 and reports[-1] == reports[-2] and reports[-1] is not HIGH
    assert bool(collapsed(Train(0.5, 0), curve)) == expected


def test_of_two_classes_the_rank_of_features_says_nothing_and_their_spread_still_does():
    two = pretraining(Digits(classes=(0, 1)))
    assert not collapsed(two, [LOW, LOW])
    assert "feature_std" in collapsed(two, [FLAT, FLAT])
    assert "rankme" in collapsed(pretraining(Digits()), [LOW, LOW])


def pretraining(data, **changes):
    made = Pretrain(
        data=data.fit("search"),
        encoder=SmallResNet(2),
        views=CropViews(),
        loss=NTXent(0.2),
        head=MLPHead(1, out=8),
        batch_size=64,
        epochs=2,
        seed=0,
        optimizer=SGD(lr=0.05),
    )
    return replace(made, **changes)


def test_a_monitored_pretraining_reports_rank_and_spread_of_the_features_of_a_fixed_probe_and_learns_the_same(world):
    data, memory = Digits(per_class=20), Memory()
    net = pretraining(data)
    sweep = searched(lambda trial, seed, phase: {"knn": KNN(net, bank=net.data, on=data.held_out("search"))}, maximize="knn", monitor="knn")
    unit = world.controller(sweep).next()
    curve = [message.metrics for message in execute(unit, world.place, memory) if message.kind == "epoch"]
    with World() as other:
        alone = [m.metrics for m in execute(replace(unit, monitor=None), other.place, Memory()) if m.kind == "epoch"]
    assert [m["loss"] for m in curve] == [m["loss"] for m in alone]
    assert not [m for m in alone if "rankme" in m]
    features = extract(memory.models[net].net, net.data.load(None).pixels, torch.device("cpu"))
    assert curve[-1]["rankme"] == pytest.approx(rankme(features))
    assert curve[-1]["feature_std"] == pytest.approx(feature_std(features))


@dataclass(frozen=True)
class Collapsing(Train):
    """While it is watched, its features collapse where x is above a half."""

    def run(self, workspace):
        watch = workspace.monitor
        if watch is not None:
            workspace.monitor = lambda model: watch(model) | (LOW if self.x > 0.5 else HIGH)
        return (yield from super().run(workspace))


@FAST
@given(turns)
def test_a_collapsed_pilot_ends_whatever_the_pruner_and_is_never_audited(order):
    sweep = searched(
        lambda trial, seed, phase: {"score": Score(Collapsing(trial.suggest_float("x", 0, 1), seed))}, pruner=optuna.pruners.NopPruner()
    )
    with World() as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.pilots.AUDIT", 1.0)
        population = world.drive(world.controller(sweep), order)
        for c in population.candidates.values():
            assert c.state == ("pruned" if c.knobs["x"] > 0.5 else "complete")
            assert ("rankme was 1.5" in c.reason) == (c.state == "pruned")
            assert list(c.intermediate) == ([25, 50] if c.state == "pruned" else [25, 50, 75, 100])
            assert not c.audited
        assert {c.state for c in population.candidates.values()} == {"pruned", "complete"}


def test_one_in_twenty_is_audited_by_sampler_seed_arm_and_index_alone():
    sweep = searched()

    def of(sweep, arm):
        return [audited(sweep, arm, i) for i in range(4000)]

    drawn = of(sweep, {})
    low, high = binom.ppf([1e-6, 1 - 1e-6], 4000, 0.05)
    assert low <= sum(drawn) <= high
    assert drawn == of(replace(sweep, trials=3, seeds=(5,)), {})
    for other in (of(replace(sweep, sampler_seed=1), {}), of(sweep, {"a": 1})):
        both = sum(a and b for a, b in zip(drawn, other, strict=True))
        assert both <= binom.ppf(1 - 1e-6, 4000, 0.0025)


@FAST
@given(turns, st.integers(0, 60))
def test_who_is_audited_goes_on_to_the_end_keeps_the_mark_and_tells_the_regret(order, moment):
    with World() as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.pilots.audited", lambda sweep, arm, index: index % 2 == 0)
        controller = world.controller(searched())
        controller.emit = controller.population.emit = lambda event: _stop_after(controller, world, event, moment)
        world.drive(controller, order)
        population = world.drive(world.controller(searched()), order)
        far = {c.index: c for c in population.candidates.values() if c.knobs["x"] > 0.5}
        assert {i: c.state for i, c in far.items()} == {i: "complete" if i % 2 == 0 else "pruned" for i in far}
        assert {c.index for c in population.candidates.values() if c.audited} == {i for i in far if i % 2 == 0}
        found = stopping(world.population(searched()))
        complete = [c for c in population.candidates.values() if c.state == "complete"]
        best = {mark: max(c.values[0] for c in complete if c.audited is mark) for mark in (True, False)}
        assert found == {
            "pruned": sum(i % 2 for i in far),
            "raced": sum(c.raced for c in complete),
            "audited": sum(i % 2 == 0 for i in far),
            "regret": max(0.0, best[True] - best[False]),
            "gate": [],
        }
        assert f"{found['audited']} more went on for the audit (regret" in in_words(status_of(searched(), world.root)["stopping"])


def _stop_after(controller, world, event, moment):
    world.events.append(event)
    controller.stopping = controller.stopping or len(world.events) >= moment


@FAST
@given(turns)
def test_a_sweep_takes_no_other_monitors_values_as_its_own(order):
    def space(trial, seed, phase):
        net = Train(trial.suggest_float("x", 0, 1), seed)
        return {"score": Score(net), "biased": Score(net, bias=100.0)}

    other = searched(space, monitor="biased", pruner=optuna.pruners.NopPruner())
    sweep = replace(other, name="mine", monitor="score", trials=10)
    with World() as world:
        world.drive(world.controller(other), order)
        population = world.drive(world.controller(sweep), order)
        found = [c.intermediate for c in population.candidates.values()]
        assert found[:8] == [{}] * 8, "their stages were recorded without this monitor"
        epochs = [event.text for event in world.events if event.kind == "epoch"]
        assert [text for text in epochs if "monitor/biased" in text]
        assert [text for text in epochs if "monitor/score" in text]
        assert all(list(seen) == [25, 50, 75, 100] and max(seen.values()) < 1 for seen in found[8:])


class PruneHalfway(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.last_step >= 50


def of_one_pretraining(trial, seed, phase):
    net = Train(0.25, seed)
    return {"signal": Score(net), "score": Score(net, bias=trial.suggest_float("x", 0, 1))}


@FAST
@given(turns, st.integers(1, 3))
def test_a_pilot_is_pruned_by_a_curve_that_was_recorded_for_another_candidate_as_by_its_own(order, slots):
    sweep = searched(of_one_pretraining, trials=4, pruner=PruneHalfway(), monitor="signal")
    with World() as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.pilots.audited", lambda sweep, arm, index: index == 0)
        population = world.drive(world.controller(sweep), order, slots)
        for c in population.candidates.values():
            assert (c.state, c.audited) == (("complete", True) if c.index == 0 else ("pruned", False))
            if c.state == "pruned":
                assert list(c.intermediate) == [25, 50]
                assert [r.state for r in c.replicates] == ["pruned"]
        assert not [job for job in population.graph.jobs.values() if job.wanted and job.state != "held"]


def test_a_candidate_that_was_complete_is_not_pruned_by_a_later_launch_with_a_stricter_pruner(world):
    before = world.launch(searched(pruner=optuna.pruners.NopPruner()))
    assert {c.state for c in before.candidates.values()} == {"complete"}
    after = world.launch(searched(pruner=PruneHalfway()))
    assert {n: (c.state, c.values, c.intermediate) for n, c in after.candidates.items()} == {
        n: (c.state, c.values, c.intermediate) for n, c in before.candidates.items()
    }


def test_the_gate_needs_eight_candidates_uses_ten_and_tells_which_way_the_signal_points():
    up = list(range(12))
    assert not gate(up[: FEWEST - 1], up[: FEWEST - 1]).open
    assert "does not prune yet: 7 of 8" in str(gate(up[:7], up[:7]))
    assert gate(up[:8], up[:8]).open
    assert (gate(up, up).tau, gate(up, [-x for x in up]).tau) == pytest.approx((1, -1))
    assert gate(up, [-x for x in up]).open
    assert gate([*up[:10], 99, -99], up) == gate(up, up)
    assert not gate([1.0] * 9, up[:9]).open, "a signal that never moves has no order"


def test_of_signals_that_say_nothing_few_pass_the_gate_and_of_good_ones_most():
    draws = np.random.default_rng(0)
    final = draws.normal(size=(1000, 10))
    noise = draws.normal(size=(1000, 10))

    def passed(rho):
        return np.mean([gate(s, f).open for s, f in zip(rho * final + math.sqrt(1 - rho**2) * noise, final, strict=True)])

    assert passed(0.0) < 0.12
    assert passed(0.9) > 0.8


def test_families_are_the_class_of_the_loss_and_the_head():
    one = pretraining(Digits())
    assert family(one) == family(replace(one, loss=NTXent(0.5), batch_size=32))
    assert family(one) != family(replace(one, head=MLPHead(2, out=8)))
    assert family(Train(0.1, 0)) == family(Train(0.9, 1, epochs=7))


@dataclass(frozen=True)
class Blind(Score):
    """Reads no labels; tells the score turned upside down, or by chance."""

    label_free = True
    sign: int = -1

    def measure(self, model, workspace):
        found = super().measure(model, workspace)
        return {"signal": self.sign * found["score"] if self.sign else hash(model.stage.x) % 1000 / 1000}


def blind(sign):
    def space(trial, seed, phase):
        net = Train(trial.suggest_float("x", 0, 1), seed)
        return {"score": Score(net), "signal": Blind(net, sign=sign)}

    return searched(space, trials=14, monitor="signal", pruner=None, seeds=(0,))


@FAST
@given(turns)
def test_a_label_free_signal_prunes_behind_its_gate_whichever_way_it_points(order):
    with World() as world, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.pilots.AUDIT", 0.0)
        population = world.drive(world.controller(blind(-1)), order)
        states = [c.state for c in population.candidates.values()]
        assert set(states[: FEWEST + 1]) == {"complete"}
        assert "pruned" in states[FEWEST + 1 :]
        complete = [c.values[0] for c in population.candidates.values() if c.state == "complete"]
        for c in population.candidates.values():
            if c.state == "pruned":
                assert -((c.knobs["x"] - 0.3) ** 2) < np.median(complete)
        (line,) = stopping(population)["gate"]
        assert line.startswith("Train: signal prunes: tau = -")


def test_a_label_free_signal_that_says_nothing_prunes_nobody_and_status_says_so(world):
    world.launch(blind(0))
    found = status_of(blind(0), world.root)["stopping"]
    assert found["pruned"] == 0
    assert "does not prune: tau" in found["gate"][0]


@dataclass(frozen=True)
class Against(Score):
    loss: Loss = NTXent(0.2)


def test_monitors_that_would_mislead_or_never_act_are_refused_at_launch():
    def space(trial, seed, phase):
        net = replace(pretraining(Digits(per_class=20)), epochs=trial.suggest_int("epochs", 1, 2))
        knn = KNN(net, on=Digits(per_class=20).held_out(phase), k=5)
        return {"score": knn, "loss": Against(net), "uniformity": Uniformity(net, on=net.data)}

    with pytest.raises(UserError, match=r"Sweep.monitor = 'loss': measures a contrastive loss.*Watch a downstream signal"):
        check_corners(searched(space, monitor="loss"), True, checker(None))
    with pytest.raises(UserError, match=r"Sweep.monitor = 'uniformity': is label-free.*Raise trials to 10 or above"):
        check_corners(searched(space, monitor="uniformity", trials=9), True, checker(None))
    check_corners(searched(space, monitor="uniformity", trials=10), True, checker(None))
    check_corners(searched(space, monitor="score"), True, checker(None))
