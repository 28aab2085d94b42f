"""A record stands for files that are as they were written, or it does not stand; a state that is torn is never gone on from.

Bytes are flipped at places that hypothesis chooses, files are cut at every offset. The golden record freezes the format:
change it only with `FORMAT`, then freeze it anew with `python tests/sweeps/test_store.py`.
"""

import json
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast import SmallResNet, Untrained, UserError, Workspace
from contrast.data import Digits
from sweeps.fingerprint import describe, fingerprint
from sweeps.store import FORMAT, Store, read_curve, read_record, write_atomically

GOLDEN = Path(__file__).parents[1] / "golden" / "record.json"
STAGE = Untrained(data=Digits(per_class=7), encoder=SmallResNet(4), seed=0)
IDENTITY = fingerprint(STAGE)
MADE_BY = {"python": "3.11", "host": "here"}


@contextmanager
def opened() -> Iterator[Store]:
    shared_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared_memory if shared_memory.is_dir() else None) as folder:
        yield Store.open(Path(folder))


@pytest.fixture
def store():
    with opened() as one:
        yield one


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def workspace(attempt):
    return Workspace(attempt, resolve=lambda stage: None)


def work(attempt, epochs):
    """Go on from what the attempt has, up to `epochs`."""
    space = workspace(attempt)
    done, _ = space.restore()
    for epoch in range(done + 1, epochs + 1):
        space.save(epoch, {"loss": 1.0 / epoch}, {"w": torch.tensor([float(epoch)])})
    return attempt


def finish(store, attempt, **changes):
    workspace(attempt).keep_arrays(line=np.arange(3.0))
    workspace(attempt).keep_weights({"w": torch.zeros(2)})
    given = {"value": describe(STAGE), "outcome": "complete", "results": {"loss": 0.5}, "started": time.time(), "made_by": MADE_BY}
    return store.commit(STAGE, IDENTITY, attempt=attempt, **(given | changes))


def committed(store):
    return finish(store, work(store.begin(STAGE, IDENTITY), 3))


def recorded(store):
    """The files that a flipped byte must unmask."""
    folder = store.folder(STAGE, IDENTITY)
    record = read_record(folder / "record.json")
    return [folder / "record.json", *(folder / record.attempt / name for name in sorted(record.files))]


def test_a_committed_stage_is_held_with_all_it_left(store):
    record = committed(store)
    held = Store(store.root).held(STAGE, IDENTITY)
    assert held == record
    assert (held.outcome, held.results, [line["loss"] for line in held.curve]) == ("complete", {"loss": 0.5}, [1.0, 0.5, 1 / 3])
    assert set(held.files) == {"arrays.npz", "curve.jsonl", "weights.safetensors"}
    artefact = store.artefact(STAGE, IDENTITY)
    assert artefact.results == {"loss": 0.5}
    assert artefact.arrays()["line"].tolist() == [0.0, 1.0, 2.0]
    assert not list(store.root.rglob("state.safetensors"))
    assert not list(store.root.rglob("*.tmp"))


def test_what_is_not_committed_is_not_held(store):
    work(store.begin(STAGE, IDENTITY), 3)
    assert store.held(STAGE, IDENTITY) is None
    with pytest.raises(FileNotFoundError):
        store.artefact(STAGE, IDENTITY)


def test_of_two_attempts_the_first_stands_and_the_second_loses_harmlessly(store):
    one, two = (work(store.begin(STAGE, IDENTITY), 3) for _ in range(2))
    first = finish(store, one)
    before = {path: path.read_bytes() for path in recorded(store)}
    for late in (store, Store(store.root)):
        assert finish(late, two, results={"loss": 9.0}) == first
    assert before == {path: path.read_bytes() for path in recorded(store)}
    assert store.artefact(STAGE, IDENTITY).folder == one


def test_of_many_committers_at_once_exactly_one_wins(store):
    attempts = [work(store.begin(STAGE, IDENTITY), 1) for _ in range(8)]
    standing, barrier = [], threading.Barrier(len(attempts))

    def race(attempt):
        barrier.wait()
        standing.append(finish(Store(store.root), attempt, results={"loss": float(attempts.index(attempt))}))

    threads = [threading.Thread(target=race, args=(attempt,)) for attempt in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(standing) == len(attempts)
    assert all(record == standing[0] for record in standing)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_any_changed_byte_makes_the_record_fall_and_the_stage_can_be_made_again(which, where, change):
    with opened() as store:
        committed(store)
        path = recorded(store)[which]
        content = bytearray(path.read_bytes())
        content[int(where * len(content))] ^= change
        path.write_bytes(content)
        again = Store(store.root)
        assert again.held(STAGE, IDENTITY) is None
        assert not (store.folder(STAGE, IDENTITY) / "record.json").exists()
        assert len(list(store.folder(STAGE, IDENTITY).glob("record.json.unsound-*"))) == 1
        record = committed(again)
        assert Store(store.root).held(STAGE, IDENTITY) == record


def test_an_end_of_line_that_became_a_carriage_return_makes_the_record_fall(store):
    committed(store)
    path = store.folder(STAGE, IDENTITY) / "record.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r", 1))
    assert Store(store.root).held(STAGE, IDENTITY) is None


@pytest.mark.parametrize("harm", ["cut", "longer", "gone"])
@pytest.mark.parametrize("which", range(4))
def test_a_cut_a_longer_or_a_missing_file_makes_the_record_fall(store, which, harm):
    committed(store)
    path = recorded(store)[which]
    content = path.read_bytes()
    path.unlink()
    if harm != "gone":
        path.write_bytes(content[:-1] if harm == "cut" else content + b" ")
    assert Store(store.root).held(STAGE, IDENTITY) is None


def test_the_log_may_grow_and_a_record_is_verified_once_a_process(store):
    record = committed(store)
    (store.folder(STAGE, IDENTITY) / record.attempt / "log.txt").write_text("afterwards")
    assert Store(store.root).held(STAGE, IDENTITY) == record
    recorded(store)[1].write_bytes(b"altered")
    assert store.held(STAGE, IDENTITY) == record, "this process has read it already"
    assert Store(store.root).held(STAGE, IDENTITY) is None


def test_two_that_find_a_record_unsound_at_once_do_no_harm(store, monkeypatch):
    committed(store)
    path = recorded(store)[0]
    path.write_text("{")
    rename = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (rename(old, new), rename(old, new)))
    assert Store(store.root).held(STAGE, IDENTITY) is None


def test_a_new_attempt_goes_on_from_the_newest_sound_state(store):
    assert workspace(store.begin(STAGE, IDENTITY)).restore() == (0, {})
    work(store.begin(STAGE, IDENTITY), 3)
    work(store.begin(STAGE, IDENTITY), 2)
    epoch, state = workspace(store.begin(STAGE, IDENTITY)).restore()
    assert (epoch, state["w"].tolist()) == (3, [3.0])
    folders = list(store.folder(STAGE, IDENTITY).iterdir())
    assert len(folders) == 4
    assert [len(read_curve(attempt)) for attempt in sorted(folders)] == [0, 3, 3, 3]


@pytest.mark.parametrize("name", ["state.safetensors", "curve.jsonl"])
def test_torn_at_any_byte_the_older_sound_state_is_taken(store, name):
    older = work(store.begin(STAGE, IDENTITY), 2)
    newer = work(store.begin(STAGE, IDENTITY), 3)
    whole = (newer / name).read_bytes()
    last_line = len(whole) - 1 if name == "curve.jsonl" else len(whole)  # without its line break a line is whole
    for offset in range(len(whole)):
        (newer / name).write_bytes(whole[:offset])
        attempt = store.begin(STAGE, IDENTITY)
        epoch, state = workspace(attempt).restore()
        assert (epoch, state["w"].tolist()) == ((3, [3.0]) if offset >= last_line else (2, [2.0]))
        assert [line["epoch"] for line in read_curve(attempt)] == list(range(1, epoch + 1))
        shutil.rmtree(attempt)
    assert (older / "state.safetensors").exists()


@pytest.mark.parametrize("name", ["state.safetensors", "curve.jsonl"])
def test_without_any_sound_state_a_stage_begins_at_the_beginning(store, name):
    attempt = work(store.begin(STAGE, IDENTITY), 2)
    (attempt / name).write_bytes(b"\x00" * 40)
    assert workspace(store.begin(STAGE, IDENTITY)).restore() == (0, {})


def test_a_line_of_the_curve_too_many_is_cut(store):
    attempt = work(store.begin(STAGE, IDENTITY), 2)
    with open(attempt / "curve.jsonl", "a") as file:
        file.write('{"epoch": 3, "loss": 7.0}\n{"epoch": 4, "lo')
    attempt = work(store.begin(STAGE, IDENTITY), 4)
    assert [line["loss"] for line in read_curve(attempt)] == [1.0, 0.5, 1 / 3, 0.25]


def test_a_state_that_vanishes_while_it_is_copied_gives_way_to_the_next(store, monkeypatch):
    work(store.begin(STAGE, IDENTITY), 2)
    gone = work(store.begin(STAGE, IDENTITY), 3)
    copy = shutil.copyfile

    def vanishing(source, target):
        (gone / "state.safetensors").unlink(missing_ok=True)
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", vanishing)
    assert workspace(store.begin(STAGE, IDENTITY)).restore()[0] == 2


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["state.safetensors", "curve.jsonl"]), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_state_or_a_curve_with_any_changed_byte_is_never_gone_on_from(name, where, change):
    with opened() as store:
        work(store.begin(STAGE, IDENTITY), 2)
        newer = work(store.begin(STAGE, IDENTITY), 3)
        content = bytearray((newer / name).read_bytes())
        content[int(where * len(content))] ^= change
        (newer / name).write_bytes(content)
        assert workspace(newer).restore()[0] in (0, 3), "what the attempt itself reads back is sound, or it begins again"
        (newer / name).write_bytes(content)
        attempt = store.begin(STAGE, IDENTITY)
        epoch, state = workspace(attempt).restore()
        assert state["w"].tolist() == [float(epoch)]
        assert [line["loss"] for line in read_curve(attempt)] == [1.0 / e for e in range(1, epoch + 1)]
        assert epoch in (2, 3)


@pytest.mark.parametrize("tensor", [torch.tensor(3), torch.zeros(0), torch.tensor([True]), torch.ones(2, 3, dtype=torch.bfloat16).T])
def test_a_state_of_any_type_and_shape_reads_back(store, tensor):
    attempt = store.begin(STAGE, IDENTITY)
    workspace(attempt).save(1, {"loss": 1.0}, {"t": tensor})
    epoch, state = workspace(attempt).restore()
    assert epoch == 1
    assert torch.equal(state["t"], tensor)


def test_an_attempt_that_saves_while_it_is_copied_gives_a_curve_and_a_state_of_one_epoch(store, monkeypatch):
    live = work(store.begin(STAGE, IDENTITY), 1)
    copy = shutil.copyfile

    def copied(source, target):
        copy(source, target)
        work(live, 3)

    monkeypatch.setattr(shutil, "copyfile", copied)
    attempt = store.begin(STAGE, IDENTITY)
    assert [line["epoch"] for line in read_curve(attempt)] == [1]
    assert workspace(attempt).restore()[0] == 1
    record = finish(store, work(attempt, 4))
    assert [line["epoch"] for line in record.curve] == [1, 2, 3, 4]


@pytest.mark.parametrize("first", [True, False])
def test_a_finished_stage_leaves_no_training_state_of_any_attempt(store, first):
    for epochs in (1, 2):
        work(store.begin(STAGE, IDENTITY), epochs)
    late = work(store.begin(STAGE, IDENTITY), 3)
    if not first:
        committed(store)
        work(late, 4)
    finish(store, late)
    assert not list(store.root.rglob("state.safetensors"))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["link", "fsync"])
def test_a_kill_while_committing_loses_nothing_that_was_saved(store, monkeypatch, step):
    attempt = work(store.begin(STAGE, IDENTITY), 3)

    def killed(*_):
        raise Killed

    workspace(attempt).keep_weights({"w": torch.zeros(2)})
    with monkeypatch.context() as patch:
        patch.setattr(os, step, killed)
        with pytest.raises(Killed):
            store.commit(STAGE, IDENTITY, {}, attempt, "complete", {}, started=0.0, made_by=MADE_BY)
    assert Store(store.root).held(STAGE, IDENTITY) is None
    assert workspace(store.begin(STAGE, IDENTITY)).restore()[0] == 3


def test_seconds_are_those_of_all_attempts_as_far_as_they_were_saved(store, monkeypatch):
    first = work(store.begin(STAGE, IDENTITY), 2)
    began = int(first.name.partition("-")[0], 16) / 1e9
    os.utime(first / "curve.jsonl", (began + 100, began + 100))
    store.begin(STAGE, IDENTITY)
    last = store.begin(STAGE, IDENTITY)
    record = finish(store, work(last, 3), started=time.time() - 10)
    assert record.seconds == pytest.approx(110, abs=2)
    assert store.paces("Untrained") == [record.seconds / 3]
    assert store.paces("Pretrain") == store.paces("Untrained", lambda record: record.stage != "Untrained") == []


def test_a_store_of_a_newer_format_is_refused_and_left_alone(store):
    store.format.write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(UserError, match=rf"--root = '{store.root}': the store has format {FORMAT + 1}, .* up to {FORMAT}. Update"):
        Store.open(store.root)
    assert json.loads(store.format.read_text()) == {"format": FORMAT + 1}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "x"}', "null"])
def test_a_store_that_does_not_say_its_format_is_refused(store, text):
    store.format.write_text(text)
    with pytest.raises(UserError, match=r"format.json: does not say the format of the store .*Restore the file"):
        Store.open(store.root)


def test_looking_at_a_root_that_is_not_there_makes_nothing(tmp_path):
    Store(tmp_path / "new").check_format()
    assert not (tmp_path / "new").exists()
    assert json.loads(Store.open(tmp_path / "new").format.read_text()) == {"format": FORMAT}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["store"]


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_root_that_cannot_be_written_is_refused(tmp_path, below):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"--root = '.*file.*': cannot be written \(.*\)\. Name a folder"):
        Store.open(tmp_path / "file" / below)


def test_stages_are_found_by_the_first_digits_and_timed_from_their_attempts(store):
    assert store.span(STAGE, IDENTITY) is None
    assert store.curve_so_far(STAGE, IDENTITY) == []
    before = time.time()
    work(store.begin(STAGE, IDENTITY), 3)
    work(store.begin(STAGE, IDENTITY), 1)
    assert store.find(IDENTITY[:6]) == [store.folder(STAGE, IDENTITY)]
    assert store.find("zz") == []
    began, saved = store.span(STAGE, IDENTITY)
    assert before - 1 <= began <= saved <= time.time() + 1
    assert len(store.curve_so_far(STAGE, IDENTITY)) == 3


def test_a_worker_resolves_by_the_fingerprints_of_the_driver(store):
    committed(store)
    other = replace(STAGE, seed=1)
    assert store.resolver({other: IDENTITY})(replace(other)).results == {"loss": 0.5}
    assert store.resolver({})(STAGE).results == {"loss": 0.5}


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_atomically(path, "old")

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            write_atomically(path, "new")
    assert path.read_text() == "old"
    write_atomically(path, "new")
    assert path.read_text() == "new"


def written(root: Path) -> str:
    """The record of a stage that was made at a fixed time under a fixed name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: 1_700_000_000.25)
        patch.setattr(time, "time_ns", lambda: 1_700_000_000_250_000_000)
        patch.setattr(secrets, "token_hex", lambda n: "0f" * n)
        store = Store.open(root)
        attempt = work(store.begin(STAGE, IDENTITY), 2)
        for path in attempt.iterdir():
            os.utime(path, (0, 0))
        store.commit(
            STAGE,
            IDENTITY,
            describe(STAGE),
            attempt,
            "diverged",
            {"loss": 0.1},
            started=1.7e9,
            made_by=MADE_BY,
            reason="the loss became nan",
        )
    return (store.folder(STAGE, IDENTITY) / "record.json").read_text()


def test_the_format_of_a_record_is_frozen(tmp_path):
    assert written(tmp_path) == GOLDEN.read_text()
    record = read_record(GOLDEN)
    assert (record.stage, record.fingerprint, record.outcome) == ("Untrained", IDENTITY, "diverged")
    assert record.value == json.loads(json.dumps(describe(STAGE)))
    assert (record.results, record.seconds, record.reason) == ({"loss": 0.1}, 0.25, "the loss became nan")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(written(Path(folder)))
