"""Whatever damage befalls the files below a root, a command ends with one message that names file and cure, or makes the file again.

Each row damages the root of a finished sweep of arithmetic; each command must then end with exit code 0 or with a message, never
with a traceback, and a command that only looks must leave every file as it was.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from sweeps import Sweep
from sweeps.seal import sealed, unsealed
from sweeps.store import read_record
from tests.driver import command, files
from tests.world import WORK, Score, Train, World

NAME = "searched"
LOOKING = ("status", "plan", "report", "show", "logs")


def space(trial, seed, phase):
    return {"score": Score(Train(trial.suggest_float("x", 0, 1), seed, 2))}


SWEEP = Sweep(NAME, space, trials=2, maximize="score")


class Projection:
    """Takes everything and sends nothing."""

    def send(self, rows):
        """Nothing."""

    def drain(self):
        """Nothing."""

    def close(self):
        """Nothing."""


@pytest.fixture(autouse=True)
def _projection(monkeypatch):
    monkeypatch.setattr("sweeps.launch.MlflowLog.open", lambda *_: Projection())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The root of a finished sweep."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch, World() as opened:
        patch.setattr("sweeps.launch.MlflowLog.open", lambda *_: Projection())
        assert told(opened.root, "run").code == 0
        shutil.copytree(opened.root, root, dirs_exist_ok=True)
    return root


@pytest.fixture
def world(finished):
    with World() as opened:
        shutil.copytree(finished, opened.root, dirs_exist_ok=True)
        yield opened


def told(root: Path, verb: str):
    """How a command over the sweep ends."""
    record = next((root / "store").glob("Train/*"), None)
    about = (record.name if record else "00",) if verb in ("show", "logs") else (NAME,)
    return command(verb, *about, "--root", root, *(("--engine", "inline") if verb == "run" else ()), known={NAME: SWEEP})


def candidate(root: Path) -> Path:
    return root / "sweeps" / NAME / "candidates" / "00000.json"


def train(root: Path) -> Path:
    """The record of a training."""
    return next((root / "store" / "Train").glob("*/record.json"))


def replaced(path: Path, content: bytes | None) -> None:
    """Another content, or a folder, in the place of a file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)


def unlocked(root: Path) -> dict[str, tuple[int, str]]:
    """All files but the door of the lock, which a run opens before it reads."""
    return {path: state for path, state in files(root).items() if not path.endswith(".door")}


def resealed(root: Path, **changes: object) -> bytes:
    return sealed("candidate", unsealed("candidate", candidate(root).read_bytes()) | changes).encode()


def unfinished(root: Path) -> Path:
    """An attempt at a training whose record is gone."""
    record = train(root)
    attempt = record.parent / read_record(record).attempt
    record.unlink()
    return attempt


CANDIDATES: dict[str, Callable[[Path], bytes | None]] = {
    "empty": lambda root: b"",
    "a list": lambda root: b"[]",
    "null": lambda root: b"null",
    "no text": lambda root: b"\xff" + candidate(root).read_bytes(),
    "a folder": lambda root: None,
    "another seed": lambda root: candidate(root).read_bytes().replace(b'"seed": 0', b'"seed": 1'),
    "no seed": lambda root: candidate(root).read_bytes().replace(b'"seed"', b'"sead"'),
    "no phase": lambda root: candidate(root).read_bytes().replace(b'"phase"', b'"phasf"'),
    "no stages": lambda root: candidate(root).read_bytes().replace(b'"stages"', b'"stagds"'),
    "another knob": lambda root: candidate(root).read_bytes().replace(b'"x": 0.', b'"x": 1.'),
    "a number that is text": lambda root: candidate(root).read_bytes().replace(b'"number": 0', b'"number": "0"'),
    "knobs in a list": lambda root: candidate(root).read_bytes().replace(b'"knobs": {', b'"knobs": [{'),
    "no replicates": lambda root: json.dumps(json.loads(candidate(root).read_text())["candidate"] | {"replicates": None}).encode(),
    "a number below 0": lambda root: resealed(root, number=-1),
    "the number of another": lambda root: resealed(root, number=1),
    "a field too many": lambda root: resealed(root, more=1),
}


@pytest.mark.parametrize("verb", ["run", "status"])
@pytest.mark.parametrize("damage", CANDIDATES)
def test_a_candidates_file_that_is_not_as_it_was_written_is_named(world, damage, verb):
    replaced(candidate(world.root), CANDIDATES[damage](world.root))
    before = unlocked(world.root)
    ended = told(world.root, verb)
    assert ended.code == 2
    assert str(candidate(world.root)) in ended.err
    assert "its stages are kept and it is drawn again" in ended.err
    assert unlocked(world.root) == before


def test_a_candidates_file_that_was_deleted_is_written_again(world):
    before = candidate(world.root).read_text()
    candidate(world.root).unlink()
    assert told(world.root, "run").code == 0
    assert candidate(world.root).read_text() == before


def any_byte(path: Path, where: float, change: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= change
    path.write_bytes(content)


def records_altered(root: Path) -> None:
    for path in (root / "store").glob("*/*/record.json"):
        any_byte(path, 0.5)


MADE_AGAIN: dict[str, Callable[[Path], object]] = {
    "launch.json torn": lambda root: replaced(root / "sweeps" / NAME / "launch.json", b'{"reus'),
    "launch.json a list": lambda root: replaced(root / "sweeps" / NAME / "launch.json", b"[]"),
    "launch.json without counts": lambda root: replaced(root / "sweeps" / NAME / "launch.json", b'{"reused": null}'),
    "launch.json no text": lambda root: replaced(root / "sweeps" / NAME / "launch.json", b"\xff"),
    "a record altered": records_altered,
    "a record a folder": lambda root: replaced(train(root), None),
    "a record no text": lambda root: replaced(train(root), b"\xff"),
    "arrays a folder": lambda root: replaced(train(root).parent / read_record(train(root)).attempt / "arrays.npz", None),
    "a curve no text": lambda root: replaced(unfinished(root) / "curve.jsonl", b'{"epoch": 1, "loss": 1.0}\n\xff\n'),
    "a curve of lists": lambda root: replaced(unfinished(root) / "curve.jsonl", b"[1]\n7\n"),
    "a curve a folder": lambda root: replaced(unfinished(root) / "curve.jsonl", None),
    "a state a folder": lambda root: replaced(unfinished(root) / "state.safetensors", None),
    "a stray folder": lambda root: replaced(train(root).parent / "stray" / "curve.jsonl", b'{"epoch": 1}\n'),
    "a log no text": lambda root: replaced(train(root).parent / read_record(train(root)).attempt / "log.txt", b"\xff\xfe"),
}


@pytest.mark.parametrize("damage", MADE_AGAIN)
def test_what_can_be_made_again_is_passed_over_by_looks_and_made_again_by_a_run(world, damage):
    whole = {c["candidate"]["number"]: c for c in map(json.loads, _candidates(world.root))}
    MADE_AGAIN[damage](world.root)
    for verb in LOOKING:
        before = files(world.root)
        ended = told(world.root, verb)
        after = {path: state for path, state in files(world.root).items() if not path.startswith("reports")}
        assert ended.code in (0, 2), ended.err
        assert ended.code == 0 or verb == "show"  # a stage without a record
        assert after == {path: state for path, state in before.items() if not path.startswith("reports")}
    assert told(world.root, "run").code == 0
    assert {c["candidate"]["number"]: c for c in map(json.loads, _candidates(world.root))} == whole
    assert all(map(read_record, (world.root / "store").glob("*/*/record.json")))
    assert "units" in json.loads((world.root / "sweeps" / NAME / "launch.json").read_text())


def _candidates(root: Path) -> list[str]:
    return [path.read_text() for path in candidate(root).parent.glob("*.json")]


FORMATS = [b"", b"[]", b'{"format": Infinity}', b'{"format": 0}', b'{"format": -1}', b'{"format": 1.5}', b'{"format": true}', b"\xff", None]


@pytest.mark.parametrize("verb", ["run", *LOOKING])
@pytest.mark.parametrize("content", FORMATS)
def test_a_store_that_does_not_say_a_format_of_ours_is_refused(world, content, verb):
    replaced(world.root / "store" / "format.json", content)
    before = files(world.root)
    ended = told(world.root, verb)
    assert ended.code == 2
    assert "format.json: does not say the format of the store" in ended.err
    assert "Restore the file, or name another --root" in ended.err
    assert files(world.root) == before


IN_THE_WAY: dict[str, Callable[[Path], object]] = {
    "sweeps": lambda root: replaced(root / "sweeps", b""),
    f"sweeps/{NAME}": lambda root: replaced(root / "sweeps" / NAME, b""),
    "candidates": lambda root: replaced(root / "sweeps" / NAME / "candidates", b""),
    "reports": lambda root: replaced(root / "reports", b""),
    f"reports/{NAME}": lambda root: replaced(root / "reports" / NAME, b""),
    "mlartifacts": lambda root: replaced(root / "mlartifacts", b""),
    "store/Train": lambda root: replaced(root / "store" / "Train", b""),
    "driver.lock": lambda root: replaced(root / "sweeps" / NAME / "driver.lock", None),
    "driver.lock.door": lambda root: replaced(root / "sweeps" / NAME / "driver.lock.door", None),
    "launch.json": lambda root: replaced(root / "sweeps" / NAME / "launch.json", None),
}


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_a_file_in_the_place_of_a_folder_or_a_folder_in_that_of_a_file_is_named(world, what):
    IN_THE_WAY[what](world.root)
    ended = told(world.root, "run")
    assert ended.code == 2
    assert what in ended.err
    assert "ove away what is there" in ended.err or "Move it away" in ended.err
    assert told(world.root, "status").code == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("writes", [0, 1, 4, 9, 15])
def test_a_full_disk_is_told_and_nothing_that_was_finished_is_lost(monkeypatch, writes, number):
    with World() as world:
        left = [writes]

        def flush(handle):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", flush)
            ended = told(world.root, "run")
        assert ended.code == 2
        assert os.strerror(number) in ended.err
        assert "Free space" in ended.err
        finished = files(world.root / "store")
        held = [read_record(path) for path in (world.root / "store").glob("*/*/record.json")]
        assert told(world.root, "run").code == 0
        assert set(WORK.values()) <= {1, 2}
        for record in held:
            assert (
                finished.items()
                >= {
                    path: state
                    for path, state in files(world.root / "store").items()
                    if path.startswith(f"{record.stage}/{record.fingerprint}")
                }.items()
            ), asdict(record)


def test_report_of_a_root_without_a_store_is_refused_and_makes_none(tmp_path):
    ended = told(tmp_path / "typo", "report")
    assert ended.code == 2
    assert "typo': has no store" in ended.err.replace("\n", " ")
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("text", ["**", "*", "?", "..", "/", "", "[0-9]", "g", "A", "0" * 300])
def test_show_takes_the_digits_of_a_fingerprint_and_nothing_else(world, text):
    ended = command("show", text, "--root", world.root, known={NAME: SWEEP})
    assert ended.code == 2
    assert "is no fingerprint. Give its first digits" in ended.err


def test_only_a_store_that_runs_moves_a_record_that_is_not_sound(world):
    any_byte(train(world.root), 0.5)
    before = files(world.root / "store")
    for verb in LOOKING:
        told(world.root, verb)
    assert files(world.root / "store") == before
    assert told(world.root, "run").code == 0
    assert len(list((world.root / "store").glob("*/*/record.json.unsound-*"))) == 1


@pytest.mark.parametrize("name", ["n" * 101, "n" * 300])
def test_a_name_that_is_too_long_for_a_folder_is_refused(name):
    with pytest.raises(ValueError, match=r"Sweep.name = .*at most 100 letters.*Rename"):
        Sweep(name, space, trials=2, maximize="score")
