"""How many units run at once, and where: bounded by slots, changed while a sweep runs, kept away from nodes that lose them."""

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast import UserError
from contrast.stage import Memory
from sweeps import Resources, Sweep
from sweeps.control import Control, Wish, ask
from sweeps.controller import Signal
from sweeps.engines import inline
from sweeps.engines.worker import execute
from sweeps.lock import Lock
from sweeps.nodes import LOSSES, Nodes
from sweeps.results import last_launch, save_launch
from sweeps.slots import Slots
from tests import driver
from tests.driver import command
from tests.world import WORK, Score, Train, World, table

SWEEP = Sweep("slots", lambda trial, seed, phase: {f"s{n}": Score(Train(0.1 * n, seed, 2)) for n in range(3)}, seeds=(0, 1))


@pytest.fixture
def world():
    with World() as opened:
        yield opened


def watched(controller, slots=None, wishes=()):
    """A controller bounded by `slots`, to which the wishes are told one a call; and how many ran at once after each call."""
    told, next_unit, ran = iter(wishes), controller.next, []
    controller.slots = Slots(slots, wishes=lambda: next(told, None))

    def counted(*args):
        unit = next_unit(*args)
        ran.append(len(controller.running))
        return unit

    controller.next = counted
    return controller, ran


@settings(max_examples=15)
@given(order=st.lists(st.integers(0, 5), min_size=1), engine=st.integers(1, 4), slots=st.integers(1, 3))
def test_never_more_units_at_once_than_slots_and_the_same_comes_out(order, engine, slots):
    with World() as world:
        alone = table(world.launch(SWEEP, searching=False))
    with World() as world:
        controller, ran = watched(world.controller(SWEEP, searching=False), slots)
        assert table(world.drive(controller, order, engine)) == alone
        assert max(ran) == min(slots, engine)


def test_slots_can_be_raised_and_lowered_while_it_runs_up_to_the_room_there_is(world):
    controller, ran = watched(world.controller(SWEEP, searching=False), 1, [None, None, Wish(slots=9)])
    controller.slots.room = 3
    world.drive(controller, slots=5)
    assert ran[:2] == [1, 1]
    assert max(ran) == 3
    assert [event.text for event in world.events if event.kind == "slots"] == ["slots: 1 -> 3 (9 were asked for, and there is room for 3)"]
    assert set(WORK.values()) == {1}


def test_a_drained_sweep_ends_its_running_units_begins_no_other_and_goes_on_later(world):
    controller, _ = watched(world.controller(SWEEP, searching=False), 2, [None, None, Wish(drain=True)])
    running = [(unit, execute(unit, world.place, Memory())) for unit in (controller.next(), controller.next())]
    assert [inline.tell(controller, unit, next(messages)) for unit, messages in running] == [Signal.CONTINUE] * 2
    assert controller.next() is Signal.WAIT
    for unit, messages in running:
        assert {inline.tell(controller, unit, message) for message in messages} == {Signal.CONTINUE}
        controller.finished(unit)
    assert controller.next() is Signal.DONE
    assert sorted(name.partition("/")[0] for name in world.records()) == ["Score", "Score", "Train", "Train"]
    assert world.launch(SWEEP, searching=False).finished_all
    assert set(WORK.values()) == {1}


def test_a_unit_that_waited_for_a_place_does_not_begin_any_more_when_it_drains(world):
    controller, _ = watched(world.controller(SWEEP, searching=False), 2, [None, Wish(drain=True)])
    unit = controller.next()
    assert controller.next() is Signal.WAIT
    assert controller.began(unit) is Signal.STOP
    controller.finished(unit)
    assert controller.fatal is None
    assert controller.next() is Signal.DONE


def test_a_unit_that_is_taken_back_waits_again_and_is_not_remembered_as_given_to_a_worker(world):
    controller = world.controller(SWEEP, searching=False)
    first = controller.next()
    controller.withdrawn(first)
    assert not controller.running
    again = controller.next()
    assert (again.stages, again.number) == (first.stages, first.number + 1)
    assert controller.fatal is None
    (world.root / "sweeps" / SWEEP.name).mkdir(parents=True, exist_ok=True)
    save_launch(controller, world.root)
    assert last_launch(world.root, SWEEP.name) == {"reused": 0, "computed": 0, "units": [["Train", "Score"]]}


def test_units_of_a_shape_that_waits_for_a_place_already_let_others_go_first(world):
    first, second = Resources(2), Resources(1)
    controller = world.controller(SWEEP, searching=False)
    controller.queue.resources = controller.resources = lambda stage: first if stage.seed == 0 else second
    closed = {first}
    units = [controller.next(closed) for _ in range(4)]
    assert [unit.resources for unit in units[:3]] == [second] * 3
    assert units[3] is Signal.WAIT
    assert controller.next().resources == first


def test_a_wish_reaches_the_driver_that_it_is_meant_for_once_and_within_a_second(tmp_path):
    clock = iter([0.0, 0.0, 0.5, 1.1, 1.1, 2.5, 2.5, 9.0, 9.0])
    with Lock(tmp_path) as lock:
        control = Control(tmp_path, lock.me.token, lambda: next(clock))
        assert control() is None
        assert ask(tmp_path, Wish(slots=3)) == lock.me
        assert control() is None  # half a second later
        assert control() == Wish(slots=3)
        assert control() is None
        ask(tmp_path, Wish(drain=True))
        assert control() == Wish(drain=True)
    with Lock(tmp_path) as another:
        assert Control(tmp_path, another.me.token)() is None


@given(st.lists(st.integers(1, 3) | st.just("drain") | st.just("look"), max_size=8))
def test_whatever_is_asked_between_two_looks_the_driver_has_the_latest_slots_and_no_drain_is_lost(steps):
    with World() as world, Lock(world.root) as lock:
        clock = count(0, 2)
        control = Control(world.root, lock.me.token, lambda: next(clock))
        slots = Slots(wishes=control)
        for step in steps:
            if step == "look":
                slots.heed(0)
            else:
                ask(world.root, Wish(drain=True) if step == "drain" else Wish(slots=step))
        told = [event.kind for event in slots.heed(0)]
        assert slots.limit == next((step for step in reversed(steps) if isinstance(step, int)), None)
        assert slots.draining is ("drain" in steps)
        assert told == [] or steps[-1] != "look"
        assert slots.heed(0) == []


NO_WISH = ["", "{", "[1]", "null", '{"to": "TOKEN"}', '{"to": "TOKEN", "slots": 0, "drain": false}', "[" * 10**5, "\udcff"]
NO_WISH += [f'{{"to": "TOKEN", "slots": {slots}, "drain": {drain}}}' for slots, drain in (('"2"', "false"), ("true", "false"), ("2", 1))]


@pytest.mark.parametrize("text", NO_WISH, ids=range(len(NO_WISH)))
def test_a_torn_or_foreign_file_is_no_wish_and_the_next_wish_is_heard(tmp_path, text):
    with Lock(tmp_path) as lock:
        clock = count(0, 2)
        control = Control(tmp_path, lock.me.token, lambda: next(clock))
        (tmp_path / "control.json").write_text(text.replace("TOKEN", lock.me.token), encoding="utf-8", errors="surrogateescape")
        assert control() is None
        ask(tmp_path, Wish(slots=2))
        assert control() == Wish(slots=2)


def test_there_must_be_a_driver_and_a_number_that_makes_sense(tmp_path):
    with pytest.raises(UserError, match="no driver works on this sweep"):
        ask(tmp_path, Wish(drain=True))
    with Lock(tmp_path), pytest.raises(UserError, match=r"slots = 0: must be at least 1\. .* use `drain`"):
        ask(tmp_path, Wish(slots=0))
    for argv in (("resize", "quickstart", 2), ("drain", "quickstart")):
        ended = command(*argv, "--root", tmp_path)
        assert ended.code == 2
        assert "no driver works" in ended.err


def test_a_node_is_avoided_after_three_losses_in_a_row_and_progress_clears_it():
    nodes = Nodes()

    def lose(unit, node):
        nodes.began(unit, node)
        return nodes.lost(unit)

    assert [lose(1, "a"), lose(2, "a"), lose(3, "b")] == [None] * 3
    nodes.began(4, "a")
    nodes.progressed(4)
    assert [lose(5, "a"), lose(6, "a")] == [None] * 2
    assert lose(7, "a") == "a"
    assert lose(8, "a") is None  # said once
    assert nodes.avoided == {"a"}
    assert [lose(unit, "") for unit in range(9, 13)] == [None] * 4  # lost before it could say where


def test_lost_workers_make_a_node_avoided_and_an_event_says_so(world):
    controller = world.controller(SWEEP, searching=False)
    for _ in range(3):
        controller.now.time += 60
        unit = controller.next()
        controller.began(unit, "beef" * 14)
        controller.failed(unit, unit.stages[0], "infrastructure", "the worker process ended")
    assert controller.nodes.avoided == {"beef" * 14}
    assert [event.text for event in world.events if event.kind == "node"] == [
        "node beefbe lost 3 units in a row without progress: no more for it while there is another"
    ]


@pytest.mark.parametrize("end", ["finished", "withdrawn", "lost", "refused"])
def test_where_a_unit_ran_is_forgotten_when_it_is_over(world, end):
    controller = world.controller(SWEEP, searching=False)
    unit = controller.next()
    controller.began(unit, "beef")
    if end == "lost":
        controller.failed(unit, unit.stages[0], "infrastructure", "the worker process ended")
    elif end == "refused":
        controller.failed(unit, unit.stages[0], "refused", "x: is wrong. Mend it.")
    else:
        getattr(controller, end)(unit)
    controller.nodes.began(unit.number, "cafe")
    assert [controller.nodes.lost(unit.number) for _ in range(LOSSES)][-1] == "cafe"


@pytest.mark.slow  # a driver of its own that trains
def test_a_driver_in_another_terminal_is_drained_and_leaves_as_with_ctrl_c(tmp_path):
    small = (*driver.SMOKE, "--root", tmp_path)
    with driver.Driver("-m", "sweeps", "run", *small, "--engine", "inline") as run:
        run.wait_for("Pretrain epoch 1/2")
        asked = command("resize", driver.SMOKE[0], 4, *small[1:])
        assert (asked.code, "to run 4 at once" in asked.out) == (0, True), asked.err
        run.wait_for(r"slots: 1 -> 1 \(4 were asked for, and there is room for 1\)")
        assert command("drain", *small).code == 0
        run.wait_for("drain: no new units, leaving when")
        assert run.ended() == 130, run.text
    assert any(replace(record, results={}).outcome == "complete" for record in driver.records(tmp_path).values())
