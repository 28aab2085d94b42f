"""What a unit occupies is said by class on the command line; what cannot be read is refused with an example."""

import mmap
import os
import threading
from dataclasses import replace

import pytest

from contrast import Digits, SmallResNet, Untrained, UserError
from sweeps.engines import inline
from sweeps.launch import Options, _engine
from sweeps.launch_checks import check_machine
from sweeps.memory import PeakMemory, process_bytes, tree_bytes
from sweeps.resources import Resources, cores_only, parsed, with_gpus
from tests.world import Train

OTHER = Untrained(data=Digits(), encoder=SmallResNet(), seed=0)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("Train=gpu:1,cpu:8", Resources(8.0, 1.0)),
        ("Train=cpu:8,gpu:0.25", Resources(8.0, 0.25)),
        ("Train=cpu:2", Resources(2.0, 0.0)),
        ("Train=gpu:4", Resources(1.0, 4.0)),
    ],
)
def test_an_option_sets_one_class_and_leaves_the_others(option, expected):
    assert parsed([option], cores_only)(Train(0.5, 0)) == expected
    assert parsed([option], with_gpus)(OTHER) == with_gpus(OTHER)


@pytest.mark.parametrize(
    "option", ["", "Train", "Train=", "Train=8", "Train=gpu:x", "Train=gpu:1.2.3", "Train=cpu:.", "=cpu:1", "Train=tpu:1"]
)
def test_an_option_that_cannot_be_read_is_refused(option):
    with pytest.raises(UserError, match=r"--resources = .*must read Class=gpu:N,cpu:N\. Write for example Pretrain=gpu:1,cpu:8"):
        parsed([option], cores_only)


def test_a_unit_without_a_core_is_refused():
    with pytest.raises(UserError, match="at least one core"):
        parsed(["Train=cpu:0"], cores_only)


def test_on_cores_all_units_have_one_shape():
    assert {cores_only(Train(0.5, 0)), cores_only(OTHER)} == {Resources(1.0, 0.0)}


@pytest.mark.parametrize("samples", [(7, 3), (3, 7)])
def test_the_peak_is_the_largest_sample_and_the_last_is_taken_at_the_end(samples, monkeypatch):
    told, begun = iter(samples), threading.Event()

    def sampled():
        begun.set()
        return next(told)

    monkeypatch.setattr("sweeps.memory.tree_bytes", sampled)
    peak = PeakMemory().start()
    assert begun.wait(60)
    assert peak.stop() == 7


def test_pages_that_a_process_takes_are_counted_in_full():
    size, me = 64_000_000, os.getpid()
    before = process_bytes(me)
    with mmap.mmap(-1, size) as held:  # pages of its own: an array may take memory that the process holds already
        held.write(b"1" * size)
        assert process_bytes(me) - before > 0.9 * size
    assert tree_bytes() > 0.5 * before


def test_one_kind_named_twice_is_refused():
    with pytest.raises(UserError, match=r"names one kind twice\. Write each of cpu and gpu once"):
        parsed(["Train=cpu:2,cpu:3"], cores_only)


@pytest.mark.parametrize("option", ["Train=cpu:4000", "Train=gpu:64"])
def test_what_this_machine_alone_has_no_room_for_is_refused(option):
    check_machine(cores_only, [Train(0.5, 0)])
    with pytest.raises(UserError, match=r"this machine has cpu:\d+ gpu:\d+\. Ask for less"):
        check_machine(parsed([option], cores_only), [Train(0.5, 0)])


def test_a_sweep_with_nothing_left_to_run_needs_no_room():
    asked = Options(engine="ray", resources=("Train=gpu:64",))
    engine = _engine(asked, [Train(0.5, 0)], None, idle=True)
    assert engine.run is inline.run
    assert engine.resources(Train(0.5, 0)) == Resources(1.0, 64.0)
    with pytest.raises(UserError, match="this machine has"):
        _engine(replace(asked, engine="inline"), [Train(0.5, 0)], None, idle=False)
