"""A sweep has one driver, whoever comes first, and a dead one does not stand in the way.

Locks are taken by this process, by processes that are killed, and by many at once that wait at one gate.
"""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import asdict, replace

import psutil
import pytest

from contrast.component import UserError
from sweeps import lock as module
from sweeps.lock import Lock, Owner

FORK = multiprocessing.get_context("fork")  # no process has to import anything: all are at the gate together


@pytest.fixture
def started():
    """Starts processes, and ends those it started."""
    processes = []

    def start(target, *arguments):
        process = FORK.Process(target=target, args=arguments)
        process.start()
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.join()


def hold(folder, taken):
    with Lock(folder):
        taken.set()
        FORK.Event().wait()


def race(folder, gate, told, tried):
    """Take the lock when the gate opens; keep it until all have tried."""
    gate.wait()
    try:
        with Lock(folder):
            told.put("alone" if not list(folder.glob("in-*")) else "not alone")
            (folder / f"in-{os.getpid()}").touch()
            tried.wait()
            (folder / f"in-{os.getpid()}").unlink()
    except UserError:
        told.put("refused")
        tried.wait()


def put(folder, owner, age=0.0):
    """A lock file that somebody else left `age` seconds ago."""
    folder.mkdir(exist_ok=True)
    (folder / "driver.lock").write_text(owner if isinstance(owner, str) else json.dumps(asdict(owner)))
    os.utime(folder / "driver.lock", (time.time() - age,) * 2)


def test_a_second_driver_is_refused_and_told_who_the_first_is(tmp_path):
    with Lock(tmp_path / "sweep") as first:
        with (
            pytest.raises(UserError, match=rf"another driver works on this sweep \(pid {os.getpid()} on .*\)\. Wait"),
            Lock(tmp_path / "sweep"),
        ):
            pass
        assert not first.lost.is_set()
        with Lock(tmp_path / "other sweep"):
            pass
    with Lock(tmp_path / "sweep"):
        assert (tmp_path / "sweep" / "driver.lock").exists()
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["driver.lock.door"]


def test_it_is_given_back_when_the_driver_fails(tmp_path):
    with pytest.raises(KeyError), Lock(tmp_path):
        raise KeyError
    with Lock(tmp_path):
        pass


def test_the_lock_of_a_killed_driver_is_taken_over_even_before_its_parent_has_noticed(tmp_path, started):
    taken = FORK.Event()
    holder = started(hold, tmp_path, taken)
    taken.wait()
    with pytest.raises(UserError, match=f"pid {holder.pid}"), Lock(tmp_path):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    while psutil.Process(holder.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    with Lock(tmp_path):
        pass
    assert not (tmp_path / "driver.lock").exists()


def test_a_process_of_the_same_number_is_not_the_owner_once_its_heartbeat_stopped(tmp_path):
    me = Lock(tmp_path).me
    put(tmp_path, replace(me, started=me.started - 1000.0), age=module.STALE + 5)
    with Lock(tmp_path):
        pass


def test_a_clock_that_was_set_does_not_cost_a_living_driver_its_lock(tmp_path):
    me = Lock(tmp_path).me
    put(tmp_path, replace(me, started=me.started - 1000.0), age=1.0)
    with pytest.raises(UserError), Lock(tmp_path):
        pass


@pytest.mark.parametrize(("age", "refused"), [(1.0, True), (module.STALE + 5, False)])
def test_on_another_machine_the_heartbeat_decides(tmp_path, age, refused):
    put(tmp_path, Owner("elsewhere", 1.0, 1, 1.0, "token"), age)
    if refused:
        with pytest.raises(UserError, match="pid 1 on elsewhere"), Lock(tmp_path):
            pass
    else:
        with Lock(tmp_path):
            pass


@pytest.mark.parametrize("torn", ["", "{", "[1]", '{"host": "here"}'])
def test_a_torn_lock_is_nobodys(tmp_path, torn):
    put(tmp_path, torn)
    with Lock(tmp_path):
        pass


def test_the_owner_learns_that_its_lock_was_taken_and_does_not_take_it_back(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    thief = Owner("elsewhere", 1.0, 1, 1.0, "thief")
    with Lock(tmp_path) as mine:
        before = (tmp_path / "driver.lock").stat().st_mtime_ns
        while (tmp_path / "driver.lock").stat().st_mtime_ns == before:
            pass
        put(tmp_path, thief)
        assert mine.lost.wait(10)
    assert json.loads((tmp_path / "driver.lock").read_text()) == asdict(thief)


def test_a_disk_that_is_away_for_a_moment_does_not_stop_the_heartbeat(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    real, failures = os.utime, iter([OSError("stale handle")] * 3)

    def shaky(path):
        for error in failures:
            raise error
        real(path)

    with Lock(tmp_path) as mine:
        before = (tmp_path / "driver.lock").stat().st_mtime_ns
        monkeypatch.setattr(os, "utime", shaky)
        while (tmp_path / "driver.lock").stat().st_mtime_ns == before:
            pass
        assert not mine.lost.is_set()


def test_of_many_that_find_a_stale_lock_at_once_exactly_one_gets_it(tmp_path, started):
    for number in range(8):
        folder, gate, tried, told = tmp_path / str(number), FORK.Event(), FORK.Barrier(5), FORK.SimpleQueue()
        put(folder, Owner("elsewhere", 1.0, 1, 1.0, "dead"), age=module.STALE + 5)
        racers = [started(race, folder, gate, told, tried) for _ in range(5)]
        gate.set()
        assert sorted(told.get() for _ in racers) == ["alone"] + ["refused"] * 4
        for racer in racers:
            racer.join()
