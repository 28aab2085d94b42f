"""What is decided about candidates follows from the declaration, the files and the store, and from nothing else.

Sweeps of arithmetic run in process, and in slots whose interleaving hypothesis chooses; what comes out is compared whole,
to the last digit, with a run that nothing disturbed.
"""

from functools import cache

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import Accuracy
from contrast import Digits
from contrast.component import UserError
from sweeps import Confirm, Sweep
from sweeps.fingerprint import fingerprint, monitored
from sweeps.launch_checks import checker
from sweeps.standing import standing
from tests.world import WORK, InParts, Score, Spread, Train, World, table

pytestmark = pytest.mark.filterwarnings("ignore:BruteForceSampler is experimental")
FAST = settings(max_examples=20, deadline=None)
turns = st.lists(st.integers(0, 5), min_size=1, max_size=30)


@pytest.fixture
def world():
    with World() as opened:
        yield opened


def tpe(seed):
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=2)


def space(trial, seed, phase, epochs=4):
    """Some of the candidates share a stage, which does not depend on x."""
    x, lazy = trial.suggest_float("x", 0, 1), trial.suggest_categorical("lazy", [False, True])
    net = Train(0.25 if lazy else x, seed, epochs)
    return {"score": Score(net), "bias/0": Score(net, bias=1.0), "long": InParts(net)}


def across(done):
    return {"spread": Spread(tuple(run.stages["score"].of for run in done))}


def searched(asked=space, **changes):
    """Two seeds a candidate, the best on two fresh ones; a draw sees the results of all candidates but the one before."""
    declared = {"trials": 4, "maximize": "score", "seeds": (0, 1), "confirm": Confirm(1, (7, 8)), "sampler": tpe, "open": 2}
    return Sweep("searched", asked, **(declared | changes))


def two_arms():
    return searched(arms={"epochs": (3, 4)}, across=across)


class PruneFar(optuna.pruners.BasePruner):
    """Stops what lies far from the best, half-way."""

    def prune(self, study, trial):
        return trial.last_step >= 50 and trial.params["x"] > 0.5


def pruned(**changes):
    return searched(watched, **({"monitor": "score", "pruner": PruneFar(), "trials": 5} | changes))


def watched(trial, seed, phase):
    net = Train(trial.suggest_float("x", 0, 1), seed)
    return {"score": Score(net), "long": InParts(net)}


@cache
def undisturbed(declare):
    with World() as world:
        return table(world.launch(declare())), world.records(), dict(WORK)


@FAST
@given(turns, st.integers(2, 3), st.integers(0, 1), st.sampled_from([two_arms, pruned]))
def test_whatever_the_interleaving_the_same_comes_out(order, slots, lag, declare):
    expected, records, work = undisturbed(declare)
    with World() as world:
        population = world.drive(world.controller(declare()), order, slots, lag)
        assert population.finished_all
        assert table(population) == expected
        if lag == 0:  # a worker that is ahead of its driver may finish what is just being pruned
            assert records <= world.records(), "a slot that would idle may have run ahead"
            assert work.keys() <= WORK.keys()
            assert set(WORK.values()) == {1}


@FAST
@given(turns, st.lists(st.integers(0, 60), min_size=1, max_size=3), st.sampled_from([two_arms, pruned]))
def test_stopped_at_any_moment_it_leaves_nothing_running_and_goes_on_to_the_same_end(order, moments, declare):
    expected, records, work = undisturbed(declare)
    with World() as world:
        for moment in moments:
            controller = world.controller(declare())
            until = len(world.events) + moment

            def emit(event, controller=controller, until=until):
                world.events.append(event)
                controller.stopping = controller.stopping or len(world.events) >= until

            controller.emit = controller.population.emit = emit
            world.drive(controller, order)
            assert not controller.running
            assert not [job for job in controller.graph.jobs.values() if job.state == "running"]
        assert table(world.launch(declare())) == expected
        assert records <= world.records(), "a slot that would idle may have run ahead"
        assert work.keys() <= WORK.keys()
        assert set(WORK.values()) == {1}, "what was saved is not computed again"


def test_every_stage_that_is_wanted_is_computed_once_and_no_other():
    _, records, work = undisturbed(two_arms)
    assert set(work.values()) == {1}
    stages = {stage for stage, _ in work}
    assert len(records) == len(stages)
    assert any(isinstance(stage, Spread) for stage in stages)


def test_a_stage_that_several_candidates_want_runs_once(world):
    population = world.launch(searched(trials=6))
    lazy = [c for c in population.candidates.values() if c.knobs["lazy"]]
    assert len(lazy) > 1
    assert WORK[Train(0.25, 0), 1] == 1
    assert len({c.values for c in lazy}) == 1


def test_the_pilot_seed_comes_first_then_the_others_then_the_best_on_fresh_seeds(world):
    population = world.launch(searched(watched))
    order = [stage for stage, epoch in WORK if isinstance(stage, Train) and epoch == 1]
    place = {(net.x, net.seed): i for i, net in enumerate(order)}
    xs = [c.knobs["x"] for c in population.candidates.values()]
    both = [x for x in xs if (x, 1) in place]
    assert both
    assert all(place[x, 0] < place[x, 1] for x in both)
    (best,) = population.best(1)
    assert best.values == max(c.values for c in population.candidates.values())
    assert [(net.x, net.seed) for net in order[-2:]] == [(best.knobs["x"], 7), (best.knobs["x"], 8)]
    assert [r.seed for c in population.candidates.values() for r in c.of_phase("confirm")] == [7, 8]


def test_the_value_is_the_mean_over_matches_then_over_seeds(world):
    population = world.launch(searched(maximize="*"))
    for c in population.candidates.values():
        means = [(r.metrics["score"] + r.metrics["long"]) / 2 for r in c.of_phase("search")]
        assert c.values == (sum(means) / len(means),)
        assert c.n == len(means) == (1 if c.raced else 2)


def test_a_pruned_pilot_is_stopped_and_nothing_of_it_starts_later(world):
    population = world.launch(pruned())
    states = {c.knobs["x"] > 0.5: c.state for c in population.candidates.values()}
    assert states == {True: "pruned", False: "complete"}
    for c in population.candidates.values():
        epochs = sorted((net.seed, epoch) for net, epoch in WORK if isinstance(net, Train) and net.x == c.knobs["x"] and net.seed < 7)
        given = (0,) if c.raced else (0, 1)
        assert epochs == ([(seed, e) for seed in given for e in (1, 2, 3, 4)] if c.state == "complete" else [(0, 1), (0, 2)])
        if c.state == "pruned":
            assert (c.values, c.n, list(c.intermediate), [r.state for r in c.replicates]) == (None, 0, [25, 50], ["pruned"])
            assert "score was" in c.reason
            assert c.told().state == optuna.trial.TrialState.PRUNED


def test_a_pruned_stage_can_be_resumed_by_a_later_owner(world):
    population = world.launch(pruned(confirm=None))
    given_up = next(c.knobs["x"] for c in population.candidates.values() if c.state == "pruned")
    later = Sweep("later", lambda trial, seed, phase: {"score": Score(Train(given_up, seed))})
    (mine,) = world.launch(later, searching=False).candidates.values()
    assert mine.state == "complete"
    assert [WORK[Train(given_up, 0), epoch] for epoch in (1, 2, 3, 4)] == [1, 1, 1, 1]


class PruneDoomed(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.params["doomed"]


def doomed_or_not(trial, seed, phase):
    net = Train(0.25, seed)
    return {"score": Score(net, bias=float(trial.suggest_categorical("doomed", [False, True])))}


@FAST
@given(turns)
def test_a_stage_that_another_candidate_wants_is_not_stopped(order):
    everything = {"sampler": lambda seed: optuna.samplers.BruteForceSampler(seed=seed), "trials": 2, "seeds": (0,), "confirm": None}
    sweep = searched(doomed_or_not, monitor="score", pruner=PruneDoomed(), **everything)
    with World() as world:
        population = world.drive(world.controller(sweep), order)
        assert {c.knobs["doomed"]: c.state for c in population.candidates.values()} == {True: "pruned", False: "complete"}
        assert set(WORK.values()) == {1}


@FAST
@given(turns)
def test_of_several_pilots_the_first_is_watched(order):
    with World() as world:
        sweep = pruned(pilot=2, sampler=lambda seed: optuna.samplers.RandomSampler(seed=seed))
        population = world.drive(world.controller(sweep), order)
        for c in population.candidates.values():
            curve = population.graph.jobs[population.graph.identity(c.replicates[0].stages["score"].of)].curve
            assert c.intermediate == {
                25 * epoch: line[monitored(fingerprint(c.replicates[0].stages["score"]))] for epoch, line in enumerate(curve, 1)
            }


@pytest.mark.parametrize("stage", [Train(0.5, 0), Spread((Train(0.5, 0), Train(0.5, 1)))])
def test_a_monitor_that_watches_no_training_is_refused(world, stage):
    sweep = searched(lambda trial, seed, phase: watched(trial, seed, phase) | {"idle": stage}, monitor="idle")
    with pytest.raises(UserError, match=r"Sweep.monitor = 'idle'.*watches no pretraining"):
        world.launch(sweep)


def test_a_monitor_that_is_measured_in_parts_is_refused(world):
    with pytest.raises(
        UserError, match=r"Sweep.monitor = 'long'.*is InParts, which takes minutes and is measured in parts.*Watch a measure of seconds"
    ):
        world.launch(searched(monitor="long"))


def kinds(trial, seed, phase):
    return {"score": Score(Train(0.25, seed, kind=trial.suggest_categorical("kind", ["good", "wild", "broken"])))}


def of_all_kinds():
    return searched(kinds, trials=3, sampler=lambda seed: optuna.samplers.BruteForceSampler(seed=seed))


def test_diverged_and_failed_candidates_are_told_apart_and_leave_none_running(world):
    population = world.launch(of_all_kinds())
    by_kind = {c.knobs["kind"]: c for c in population.candidates.values()}
    assert {kind: c.state for kind, c in by_kind.items()} == {"good": "complete", "wild": "diverged", "broken": "failed"}
    told = {kind: c.told() for kind, c in by_kind.items()}
    assert {kind: (t.state.name, t.values is not None) for kind, t in told.items()} == {
        "good": ("COMPLETE", True),
        "wild": ("PRUNED", False),
        "broken": ("FAIL", False),
    }
    assert "nan" in by_kind["wild"].reason
    assert "spoon" in by_kind["broken"].reason
    assert not [c for c in by_kind.values() if c.state == "open"]
    assert [WORK[Train(0.25, 0, kind=kind), 1] for kind in ("good", "wild", "broken")] == [1, 1, 1], "a retry goes on from its state"


def test_a_diverged_stage_is_a_result_and_not_tried_again(world):
    world.launch(of_all_kinds())
    computed = dict(WORK)
    controller = world.controller(of_all_kinds())
    assert sum(c.state == "diverged" for c in controller.population.candidates.values()) == 1
    world.drive(controller, slots=1)
    assert computed == WORK


def later_seed_diverges(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed, kind="wild" if seed in (1, 7) else "good"))}


@FAST
@given(turns)
def test_one_diverged_seed_makes_the_candidate_diverged(order):
    sweep = searched(later_seed_diverges, seeds=(0, 1, 2))
    with World() as world:
        population = world.drive(world.controller(sweep), order, slots=3)
        again = world.population(sweep)
        for one in (population, again):
            for c in one.candidates.values():
                assert (c.state, c.values, c.n) == ("diverged", None, 0)
                assert [r.state for r in c.replicates[:2]] == ["complete", "diverged"]
                assert (c.replicates[2].state, c.replicates[2].metrics) == ("stopped", {})
                assert c.replicates[0].metrics
        assert population.finished_all


def second_pilot_diverges(trial, seed, phase):
    net = Train(trial.suggest_float("x", 0, 1), seed, kind="wild" if seed == 1 else "good")
    return {"score": Score(net), "long": InParts(net)}


@FAST
@given(turns, st.integers(1, 3), st.integers(0, 2))
def test_what_is_told_of_a_candidate_whose_second_pilot_diverged_does_not_depend_on_who_was_faster(order, slots, lag):
    sweep = searched(second_pilot_diverges, seeds=(0, 1, 2), pilot=3, monitor="score", pruner=optuna.pruners.NopPruner(), trials=2)
    with World() as world:
        population = world.drive(world.controller(sweep), order, slots, lag)
        for one in (population, world.population(sweep)):
            for c in one.candidates.values():
                found = (c.state, c.intermediate, [(r.state, r.metrics) for r in c.replicates])
                assert found == ("diverged", {}, [("stopped", {}), ("diverged", {}), ("stopped", {})])
                begun = [standing(c, r, one.graph) for r in c.replicates]
                assert [(at.verdict, at.results) for at in begun] == [("stopped", {}), ("diverged", {}), ("stopped", {})]


def test_a_diverged_seed_of_the_confirmation_leaves_the_others_running(world):
    population = world.launch(searched(later_seed_diverges, seeds=(0, 2), across=across))
    (best,) = population.best(1)
    assert best.state == "complete"
    assert [r.state for r in best.of_phase("confirm")] == ["diverged", "complete"]
    (compared,) = population.finals.across.values()
    assert [net.seed for net in compared.of] == [8]


@pytest.mark.parametrize("kind", ["wild", "broken"])
def test_what_compares_all_replicates_and_cannot_be_computed_does_not_hold_up_the_end(world, kind):
    def beyond(done):
        never = Train(0.9, 3, kind=kind)
        return {"good": Spread((done[0].stages["score"].of,)), "never": Spread((never,)), "nor this": Score(never)}

    population = world.launch(searched(across=beyond))
    assert population.finished_all
    states = [population.graph.jobs[population.graph.identity(stage)].state for stage in population.finals.across.values()]
    assert states == ["held", "waiting", "waiting"]


def test_what_compares_all_replicates_is_refused_where_none_is_confirmed_and_when_it_is_no_stage(world):
    with pytest.raises(UserError, match=r"Sweep\.across: compares confirmed replicates.*Give confirm="):
        world.launch(searched(across=across, confirm=None))
    with pytest.raises(UserError, match=r"across of sweep 'searched': must return a dict of stages"):
        world.launch(searched(across=lambda done: [run.knobs for run in done]))


def test_an_objective_that_is_not_finite_counts_as_diverged(world):
    def overflowing(trial, seed, phase):
        return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed), bias=1e308)}

    population = world.launch(searched(overflowing, maximize="score/*"))
    assert {(c.state, c.values) for c in population.candidates.values()} == {("diverged", None)}
    assert "inf" in population.candidates[0].reason


def test_a_sweep_without_knobs_runs_all_seeds_once_in_phase_confirm_and_judges_when_all_ended(world):
    def grid(trial, seed, phase, kind):
        assert phase == "confirm"
        return {"score": Score(Train(0.5, seed, kind=kind if seed == 0 else "good"))}

    sweep = Sweep("grid", grid, arms={"kind": ("good", "wild")}, seeds=(0, 1, 2), across=across)
    population = world.launch(sweep, searching=False)
    good, wild = population.candidates.values()
    assert ([r.state for r in good.replicates], good.state, good.n) == (["complete"] * 3, "complete", 3)
    assert ([r.state for r in wild.replicates], wild.state, wild.n) == (["diverged", "complete", "complete"], "diverged", 2)
    (compared,) = population.finals.across.values()
    assert [net.seed for net in compared.of] == [0, 1, 2, 1, 2], "in order of arm, candidate, seed"


def test_a_test_split_in_the_search_is_refused_before_any_work(world):
    def leaking(trial, seed, phase):
        trial.suggest_float("x", 0, 1)
        return {"score": Accuracy(Train(0.5, seed), on=Digits(per_class=20).held_out("confirm"))}

    with pytest.raises(UserError, match=r"score: Digits\(.*test split in phase 'search'"):
        world.launch(searched(leaking), check=checker(None))
    assert not world.records()
