"""The controller hands out each piece of work in the stated order, once, and deals with each kind of failure as stated.

The controller is played by hand: a test takes units, says what became of them, and moves the clock.
"""

import itertools
from dataclasses import dataclass

import pytest

from contrast.component import UserError
from contrast.stage import Memory
from sweeps import Confirm, Sweep
from sweeps.controller import Controller, Signal
from sweeps.engines import inline
from sweeps.engines.worker import execute
from sweeps.failures import MAX_ACCIDENTS, MAX_UNBEGUN, SweepFailed
from sweeps.resources import Resources
from tests.world import TROUBLE, WORK, Clock, Long, Score, Spread, Train, World


@pytest.fixture
def world():
    with World() as opened:
        yield opened


def space(trial, seed, phase):
    net = Train(trial.suggest_float("x", 0, 1), seed)
    return {"score": Score(net), "bias": Score(net, bias=1.0), "long": Long(net)}


def searched(asked=space, **changes):
    return Sweep("searched", asked, **({"trials": 2, "maximize": "score", "seeds": (0, 1)} | changes))


def one_stage(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed))}


def lasting(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed, epochs=30))}


def run(controller, world, unit):
    """A worker executes the unit to the end."""
    inline.run_unit(controller, unit, world.place, Memory())


def until(controller, world, unit, count):
    """A worker executes the unit until it has sent `count` messages; it is lost there."""
    for message in itertools.islice(execute(unit, world.place, Memory()), count):
        inline.tell(controller, unit, message)


def lose(controller, unit, begun=True):
    controller.failed(unit, unit.stages[0] if begun else None, "infrastructure", "the worker process ended")


def kinds(events, kind):
    return [event.text for event in events if event.kind == kind]


def test_short_measures_follow_in_the_same_worker_and_long_ones_are_units_of_their_own(world):
    controller = world.controller(searched(trials=1, seeds=(0,)))
    first = controller.next()
    assert [type(stage).__name__ for stage in first.stages] == ["Train", "Score", "Score"]
    assert controller.next() is Signal.WAIT
    run(controller, world, first)
    second = controller.next()
    assert [type(stage).__name__ for stage in second.stages] == ["Long"]
    run(controller, world, second)
    assert controller.next() is Signal.DONE


def test_a_unit_knows_the_fingerprints_of_all_it_reads_and_writes(world):
    unit = world.controller(searched()).next()
    assert set(unit.identities) == set(unit.stages)
    assert [value["class"] for value in unit.values] == ["Train", "Score", "Score"]


def test_children_start_as_soon_as_their_stage_is_committed(world):
    controller = world.controller(searched(trials=1, seeds=(0,)))
    unit = controller.next()
    messages = execute(unit, world.place, Memory())
    for message in messages:
        inline.tell(controller, unit, message)
        if message.kind == "committed":
            break
    assert [type(stage).__name__ for stage in controller.next().stages] == ["Long"], "while its parent's unit goes on"


def test_the_order_is_confirmation_then_children_then_further_seeds_then_pilots(world):
    sweep = searched(trials=3, seeds=(0, 1), open=1, confirm=Confirm(1, (7, 8)), across=lambda done: {"spread": across_of(done)})
    controller, order = world.controller(sweep), []
    while (unit := controller.next()) is not Signal.DONE:
        nets = [stage.of if isinstance(stage, Score) else stage for stage in unit.stages[:1]]
        order.append((type(unit.stages[0]).__name__, getattr(nets[0], "seed", None)))
        run(controller, world, unit)
    one = [("Train", 0), ("Long", 0), ("Train", 1), ("Long", 1)]
    third = one[:2] if controller.population.candidates[2].raced else one
    assert order == one * 2 + third + [("Train", 7), ("Long", 7), ("Train", 8), ("Long", 8), ("Spread", None)]


def across_of(done):
    return Spread(tuple(run.stages["score"].of for run in done))


def test_idle_slots_take_seeds_before_new_candidates(world):
    controller = world.controller(searched(trials=4, seeds=(0, 1, 2)))
    run(controller, world, controller.next())
    taken = [controller.next() for _ in range(4)]
    names = [(type(unit.stages[0]).__name__, getattr(unit.stages[0], "seed", 0)) for unit in taken]
    assert names[0] == ("Long", 0)
    run(controller, world, taken[0])
    assert names[1] == ("Train", 0), "nothing else was ready, so a candidate was drawn"
    more = [controller.next() for _ in range(2)]
    assert [unit.stages[0].seed for unit in more] == [1, 2]


def test_children_go_before_further_seeds_and_these_before_pilots(world):
    controller = world.controller(searched(trials=3, seeds=(0, 1, 2)))
    first, second, third = (controller.next() for _ in range(3))
    lose(controller, third, begun=False)
    controller.now.time += 60.0
    run(controller, world, first)
    long = controller.next()
    run(controller, world, long)  # the first candidate's pilot is complete, and its further seeds are ready
    run(controller, world, second)  # so is the second's child, and the third's pilot
    order = [controller.next().stages[0] for _ in range(4)]
    assert [type(stage).__name__ for stage in order] == ["Long", "Train", "Train", "Train"]
    assert [(stage.x == first.stages[0].x, stage.seed) for stage in order[1:]] == [(True, 1), (True, 2), (False, 0)]


def test_no_more_candidates_are_open_than_the_window(world):
    controller = world.controller(searched(trials=20, open=3))
    units = [controller.next() for _ in range(5)]
    assert [unit.stages[0].seed for unit in units] == [0, 0, 0, 1, 1], "slots that would idle run ahead"
    assert len(controller.population.candidates) == 3
    assert searched(trials=20).window == 4
    assert searched(trials=80).window == 10


def test_equal_shapes_are_handed_out_together(world):
    def resources(stage):
        return Resources(2.0 if stage.seed % 2 else 1.0) if isinstance(stage, Train) else Resources()

    sweep = Sweep("grid", lambda trial, seed, phase: {"score": Score(Train(0.5, seed))}, seeds=(0, 1, 2, 3))
    controller = Controller(world.population(sweep, searching=False), resources=resources, now=Clock())
    assert [controller.next().resources.cpus for _ in range(4)] in ([1, 1, 2, 2], [2, 2, 1, 1])


def test_an_exception_is_tried_once_more_from_the_last_state(world):
    TROUBLE["Train", 0, 3] = [ValueError("once")]
    population = world.launch(searched(trials=1))
    assert population.candidates[0].state == "complete"
    assert set(WORK.values()) == {1}
    (retry,) = kinds(world.events, "retry")
    assert "ValueError: once" in retry


def test_a_second_exception_fails_the_candidate_with_the_traceback_and_the_sweep_goes_on(world):
    TROUBLE["Train", 1, 2] = [ValueError("twice"), ValueError("twice")]
    population = world.launch(searched(trials=2, seeds=(0, 1, 2)))
    failed, complete = population.candidates.values()
    assert (failed.state, failed.values, failed.n, complete.state) == ("failed", None, 0, "complete")
    assert 'File "' in failed.reason
    assert failed.reason.strip().endswith("ValueError: twice")
    assert population.finished_all


def test_a_measure_that_raises_fails_its_candidate_alone(world):
    TROUBLE["Long", 0, 0] = [ValueError("no")] * 2
    population = world.launch(searched(trials=2))
    assert [c.state for c in population.candidates.values()] == ["failed", "complete"]


def test_the_same_exception_in_the_first_three_units_ends_the_sweep(world):
    TROUBLE["Train", 0, 1] = [ValueError("always")] * 9
    with pytest.raises(SweepFailed, match=r"first three units.*same exception[\s\S]*ValueError: always"):
        world.launch(searched(trials=8))
    assert len(TROUBLE["Train", 0, 1]) == 6


def test_different_exceptions_or_an_earlier_success_do_not_end_it(world):
    TROUBLE["Train", 0, 1] = [ValueError("a"), ValueError("b"), ValueError("c")]
    assert [c.state for c in world.launch(searched()).candidates.values()] == ["failed", "complete"]
    with World() as other:
        TROUBLE["Train", 1, 1] = [ValueError("late")] * 4
        assert [c.state for c in other.launch(searched()).candidates.values()] == ["failed", "failed"]


def test_three_divergences_do_not_end_the_sweep(world):
    population = world.launch(searched(lambda t, s, p: {"score": Score(Train(t.suggest_float("x", 0, 1), s, kind="wild"))}, trials=4))
    assert {c.state for c in population.candidates.values()} == {"diverged"}
    assert not kinds(world.events, "retry"), "nothing is measured of what diverged"


def test_a_users_mistake_in_a_stage_ends_the_sweep_with_its_message(world):
    wrong = searched(lambda t, s, p: {"score": Score(Train(t.suggest_float("x", 0, 1), s, kind="mistaken"))})
    with pytest.raises(UserError, match=r"x: is wrong\. Mend it\."):
        world.launch(wrong)


def test_a_measure_that_returns_no_numbers_is_the_users_mistake(world):
    with pytest.raises(UserError, match=r"Wordy: returned \{'answer': 'forty-two'\}.*Return a dict of numbers"):
        world.launch(searched(lambda t, s, p: {"score": Wordy(Train(t.suggest_float("x", 0, 1), s))}))


@dataclass(frozen=True)
class Wordy(Score):
    def measure(self, model, workspace):
        return {"answer": "forty-two"}


def test_a_lost_worker_is_replaced_with_growing_pauses_and_goes_on_from_the_last_state(world):
    controller = world.controller(searched(one_stage, trials=1, seeds=(0,)))
    pauses = []
    for count in (3, 2, 2):  # "began" and two epochs, then replays only
        unit = controller.next()
        until(controller, world, unit, count)
        lose(controller, unit)
        pauses.append(controller.graph.backing_off(controller.now()))
        assert controller.next() is Signal.WAIT
        controller.now.time += pauses[-1]
    assert pauses == [0.5, 1.0, 2.0]
    run(controller, world, controller.next())
    assert controller.next() is Signal.DONE
    assert {WORK[work] for work in WORK if isinstance(work[0], Train)} == {1}


def test_five_losses_without_progress_are_borne_and_the_sixth_fails_the_candidate(world):
    controller = world.controller(searched(one_stage, trials=1, seeds=(0,)))
    for _ in range(MAX_ACCIDENTS + 1):
        assert controller.population.candidates.get(0) is None or controller.population.candidates[0].state == "open"
        unit = controller.next()
        lose(controller, unit)
        controller.now.time += 60.0
    assert controller.population.candidates[0].state == "failed"
    assert "6 times without progress" in controller.population.candidates[0].reason
    assert controller.next() is Signal.DONE


def test_progress_forgives_earlier_losses(world):
    controller = world.controller(searched(lasting, trials=1, seeds=(0,)))
    for loss in range(20):
        unit = controller.next()
        until(controller, world, unit, 2 + loss)  # "began", the replays, one new epoch
        lose(controller, unit)
        controller.now.time += 60.0
    assert controller.population.candidates[0].state == "open"


def test_a_worker_lost_before_it_began_does_not_count_but_twenty_in_a_row_end_the_sweep(world):
    controller = world.controller(searched(one_stage, trials=1, seeds=(0,)))
    for _ in range(MAX_UNBEGUN - 1):
        lose(controller, controller.next(), begun=False)
        controller.now.time += 60.0
    unit = controller.next()
    until(controller, world, unit, 2)
    lose(controller, unit)
    controller.now.time += 60.0
    assert controller.fatal is None
    for _ in range(MAX_UNBEGUN):
        assert controller.fatal is None
        lose(controller, controller.next(), begun=False)
        controller.now.time += 60.0
    assert isinstance(controller.fatal, SweepFailed)
    assert "20 workers in a row were lost before they began Train" in str(controller.fatal)
    assert controller.next() is Signal.DONE


def test_a_stage_that_waits_for_its_pause_does_not_follow_in_another_unit(world):
    controller = world.controller(searched(trials=1, seeds=(0,)))
    unit = controller.next()
    until(controller, world, unit, 7)  # Train is committed, and the first Score began
    controller.failed(unit, unit.stages[1], "infrastructure", "lost")
    taken = []
    while (other := controller.next()) is not Signal.WAIT:
        taken += other.stages
    assert unit.stages[2] in taken
    assert unit.stages[1] not in taken
    controller.now.time += 0.5
    assert controller.next().stages == (unit.stages[1],)


def test_a_commit_that_comes_late_or_twice_does_no_harm(world):
    controller = world.controller(searched(one_stage, trials=1, seeds=(0,)))
    first = controller.next()
    lose(controller, first)
    controller.now.time += 60.0
    second = controller.next()
    slow = list(execute(first, world.place, Memory()))
    run(controller, world, second)
    assert controller.next() is Signal.DONE
    for message in slow:
        inline.tell(controller, first, message)
    assert controller.population.candidates[0].state == "complete"
    assert controller.population.finished_all
    assert controller.next() is Signal.DONE


def test_a_stage_stopped_by_one_and_wanted_by_a_newcomer_before_the_worker_left_goes_on(world):
    """The worker heard STOP when nobody wanted the stage; that it then leaves is no defect, and the stage waits again."""
    controller = world.controller(searched(one_stage, trials=1, seeds=(0,)))
    unit = controller.next()
    who = (0, "search", 0)
    controller.graph.release(who)
    assert controller.report(unit, unit.stages[0], 1, {"loss": 0.0}) is Signal.STOP
    for stage in unit.stages:
        controller.graph.want(stage, who)
    controller.finished(unit)
    assert controller.fatal is None
    assert controller.next().stages == unit.stages


def test_a_worker_that_leaves_without_a_word_is_a_defect(world):
    controller = world.controller(searched(one_stage))
    controller.finished(controller.next())
    assert isinstance(controller.fatal, RuntimeError)
    assert "ended its unit without Train" in str(controller.fatal)


def test_what_nobody_wants_any_more_is_not_begun(world):
    """Once the candidate has failed elsewhere, the rest of its unit is told to stop."""
    controller = world.controller(searched(trials=1, seeds=(0,)))
    unit = controller.next()
    messages = execute(unit, world.place, Memory())
    heard = []
    for message in messages:
        heard.append(inline.tell(controller, unit, message))
        if message.kind == "committed":
            break
    long = controller.next()
    for _ in range(2):
        controller.failed(long, long.stages[0], "exception", "ValueError: no")
        long = controller.next()
    message = next(messages)
    assert message.kind == "began"
    inline.tell(controller, unit, message)
    assert inline.tell(controller, unit, next(messages)) is Signal.STOP
    assert heard[-1] is Signal.CONTINUE


def test_one_diverged_seed_stops_the_others_of_its_candidate(world):
    def second_seed_diverges(trial, seed, phase):
        return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed, kind="wild" if seed == 1 else "good"))}

    controller = world.controller(searched(second_seed_diverges, trials=1, seeds=(0, 1, 2)))
    run(controller, world, controller.next())
    wild, other = controller.next(), controller.next()
    assert [unit.stages[0].seed for unit in (wild, other)] == [1, 2]
    until(controller, world, other, 2)
    run(controller, world, wild)
    assert controller.report(other, other.stages[0], 2, {"loss": 0.0}) is Signal.STOP
    controller.finished(other)
    assert controller.next() is Signal.DONE
    assert [r.state for r in controller.population.candidates[0].replicates] == ["complete", "diverged", "stopped"]


def test_the_first_reason_to_end_is_the_one_that_is_told(world):
    controller = world.controller(searched(one_stage))
    one, two = controller.next(), controller.next()
    controller.failed(one, one.stages[0], "user", "first")
    controller.failed(two, two.stages[0], "user", "second")
    assert str(controller.fatal) == "first"
    assert controller.next() is Signal.DONE


def test_a_candidate_drawn_of_finished_stages_only_ends_the_search_in_order(world):
    """Nothing is committed after the last candidate is judged, and the confirmation comes all the same."""
    same = searched(lambda t, s, p: {"score": Score(Train(0.5 + 0 * t.suggest_float("x", 0, 1), s))}, trials=3, confirm=Confirm(1, (7,)))
    population = world.launch(same)
    assert population.finished_all
    assert [len(c.of_phase("confirm")) for c in population.candidates.values()] == [1, 0, 0]
