"""The store: finished stages on disk, each under its fingerprint; the only file that joins their paths.

    DIR/store/<Class>/<fingerprint>/record.json   what, how, when, checksums, results: written last, created exclusively
    DIR/store/<Class>/<fingerprint>/<attempt>/    what the attempt left: curve, arrays, weights, log, training state

An attempt writes its own folder only and starts from the newest sound state of the others. The record makes it the
stage's result; a second committer finds the record there and loses harmlessly. A record whose files do not have the
checksums it states is moved aside, and the stage runs again.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from contrast.component import UserError
from contrast.model import Artefact
from contrast.saved import CURVE, STATE, saved_epoch
from contrast.stage import Metrics, Stage
from sweeps.attempts import attempts, began, copied_state, remove_states, seconds_saved, wait_for_others
from sweeps.fingerprint import fingerprint
from sweeps.seal import sealed, unsealed

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """The readable account of one finished stage.

    `outcome` is "complete" or "diverged"; `seconds` is the time of all attempts as far as it was saved; `curve` are the
    metrics of each epoch; `made_by` says with what.
    """

    fingerprint: str
    stage: str
    value: dict[str, object]
    outcome: str
    results: Metrics
    curve: list[Metrics]
    attempt: str
    files: dict[str, str]
    started: float
    finished: float
    seconds: float
    made_by: dict[str, str] = field(default_factory=dict)
    reason: str = ""


class Store:
    """Finished stages below `root`. Cheap to open; every sound record is verified once and then remembered."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, Record] = {}

    @staticmethod
    def open(root: Path) -> "Store":
        """Open or create the store below `root`; refuses one that a newer version wrote, and a root it cannot write to."""
        store = Store(root)
        try:
            (root / "store").mkdir(parents=True, exist_ok=True)
            probe = root / f".probe-{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(
                f"--root = {str(root)!r}: cannot be written ({error.strerror}). Name a folder that you may write to."
            ) from error
        store.check_format()
        if not store.format.exists():
            write_atomically(store.format, json.dumps({"format": FORMAT}))
        return store

    @property
    def format(self) -> Path:
        """The file that says in which format the store is written."""
        return self.root / "store" / "format.json"

    def check_format(self) -> None:
        """Refuse a store of a newer format; one that is not there yet is as good as new."""
        path = self.format
        if not path.exists():
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["format"]
            if type(found) is not int or found < 1:
                raise ValueError(f"format {found!r}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: does not say the format of the store ({error}). Restore the file, or name another --root.") from error
        if found > FORMAT:
            cure = "Update contrast-sweeps, or name another --root."
            raise UserError(f"--root = {str(self.root)!r}: the store has format {found}, this version reads up to {FORMAT}. {cure}")

    def folder(self, stage: Stage, identity: str) -> Path:
        """Where the stage with this fingerprint lies."""
        return self.root / "store" / type(stage).__name__ / identity

    def held(self, stage: Stage, identity: str) -> Record | None:
        """The record of a finished stage whose files are as they were written, or None."""
        if identity not in self._known:
            record = self._verified(self.folder(stage, identity))
            if record is None:
                return None
            self._known[identity] = record
        return self._known[identity]

    def stands(self, stage: Stage, identity: str) -> bool:
        """Whether the record of a stage that was held is still there; one that somebody removed is forgotten here, too."""
        if identity in self._known and not (self.folder(stage, identity) / "record.json").exists():
            del self._known[identity]
        return self.held(stage, identity) is not None

    def artefact(self, stage: Stage, identity: str) -> Artefact:
        """What a finished stage left; it must be held."""
        record = self.held(stage, identity)
        if record is None:
            raise FileNotFoundError(f"{type(stage).__name__} {identity} is not in the store at {self.root}")
        return Artefact(self.folder(stage, identity) / record.attempt, record.results)

    def _verified(self, folder: Path) -> Record | None:
        path = folder / "record.json"
        if not path.exists():
            return None
        record = read_record(path)
        sound = record is not None and all(_digest(folder / record.attempt / name) == sha for name, sha in record.files.items())
        if not sound:
            self._set_aside(path)
            return None
        return record

    def _set_aside(self, path: Path) -> None:
        """Move a record that is not sound out of the way, so that the stage can be made again."""
        with contextlib.suppress(FileNotFoundError):  # another process moved it first
            os.replace(path, path.with_name(f"record.json.unsound-{int(time.time())}-{secrets.token_hex(2)}"))

    def begin(self, stage: Stage, identity: str) -> Path:
        """A new attempt's folder, with the newest sound training state of an earlier attempt copied into it."""
        folder = self.folder(stage, identity)
        wait_for_others(folder)
        attempt = folder / f"{time.time_ns():x}-{secrets.token_hex(3)}"
        attempt.mkdir(parents=True)
        saved = sorted(((saved_epoch(old), old.name, old) for old in attempts(folder) if old != attempt), reverse=True)
        for epoch, _, old in saved:
            if epoch > 0 and copied_state(old, attempt):
                break
        return attempt

    def commit(
        self,
        stage: Stage,
        identity: str,
        value: dict[str, object],
        attempt: Path,
        outcome: str,
        results: Metrics,
        *,
        started: float,
        made_by: dict[str, str],
        reason: str = "",
    ) -> Record:
        """Make the attempt the stage's result, unless another one already is; returns the record that stands."""
        curve = read_curve(attempt)
        kept = [path for path in sorted(attempt.iterdir()) if path.suffix in (".npz", ".safetensors", ".jsonl")]
        files = {path.name: _digest(path) for path in kept if path.name != STATE}
        for name in files:
            _sync(attempt / name)
        finished = time.time()
        folder = self.folder(stage, identity)
        seconds = finished - started + sum(seconds_saved(old) for old in attempts(folder) if old != attempt)
        record = Record(
            identity, type(stage).__name__, value, outcome, results, curve, attempt.name, files, started, finished, seconds, made_by, reason
        )
        temporary = attempt / "record.tmp"
        temporary.write_text(sealed("record", vars(record)), encoding="utf-8")
        _sync(temporary)
        try:
            os.link(temporary, folder / "record.json")
        except FileExistsError:
            standing = self.held(stage, identity)
            if standing is not None:
                remove_states(folder)
                return standing
            os.link(temporary, folder / "record.json")
        finally:
            temporary.unlink()
        _sync(folder)
        remove_states(folder)  # only now: a kill before the record stands must not lose the training
        self._known[identity] = record
        return record

    def resolver(self, identities: dict[Stage, str]) -> "Resolver":
        """A function from upstream stages to artefacts, for the workspace of a worker."""
        return Resolver(self, identities)

    def paces(self, name: str, alike: Callable[[Record], bool] = lambda record: True) -> list[float]:
        """How many seconds an epoch of each finished stage of one class took, of those `alike`; of a stage without epochs, the whole."""
        return [record.seconds / max(1, len(record.curve)) for record in self._finished(name) if alike(record)]

    def sizes(self, name: str, alike: Callable[[Record], bool] = lambda record: True) -> list[int]:
        """The bytes of what each finished stage of one class left, of those `alike`."""
        records = [record for record in self._finished(name) if alike(record)]
        kept = [self.root / "store" / name / record.fingerprint / record.attempt for record in records]
        return [sum(path.stat().st_size for path in attempt.iterdir()) for attempt in kept if attempt.is_dir()]

    def _finished(self, name: str) -> list[Record]:
        paths = sorted((self.root / "store" / name).glob("*/record.json"))
        return [record for record in map(read_record, paths) if record is not None]

    def curve_so_far(self, stage: Stage, identity: str) -> list[Metrics]:
        """The longest curve that an attempt at an unfinished stage has saved."""
        return max((read_curve(attempt) for attempt in attempts(self.folder(stage, identity))), key=len, default=[])

    def span(self, stage: Stage, identity: str) -> tuple[float, float] | None:
        """When the first attempt at a stage began and when any last saved, in seconds since 1970; None before the first."""
        found = attempts(self.folder(stage, identity))
        if not found:
            return None
        return min(map(began, found)), max(path.stat().st_mtime for path in found)

    def folders(self) -> dict[str, Path]:
        """The folder of every stage that was ever begun, by fingerprint."""
        found = sorted((self.root / "store").glob("*/*"))
        return {path.name: path for path in found if re.fullmatch("[0-9a-f]{32}", path.name) and path.is_dir()}

    def find(self, prefix: str) -> list[Path]:
        """The folders of stages whose fingerprint starts with `prefix`."""
        digits = re.fullmatch("[0-9a-f]{1,64}", prefix) is not None
        return sorted(path for path in (self.root / "store").glob(f"*/{prefix}*") if path.is_dir()) if digits else []


class Untouched(Store):
    """The store for looking only: a record that is not sound does not count, and stays where it is."""

    def _set_aside(self, path: Path) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Resolver:
    """Finds the artefact of an upstream stage by the fingerprint that the driver gave, or by computing it."""

    store: Store
    identities: dict[Stage, str]

    def __call__(self, stage: Stage) -> Artefact:
        """The artefact of `stage`."""
        return self.store.artefact(stage, self.identities.get(stage) or fingerprint(stage))


def read_record(path: Path) -> Record | None:
    """The record in a file, or None when the file is gone, torn, altered by as much as a byte, or not one."""
    try:
        return Record(**unsealed("record", path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, TypeError):
        return None


def read_curve(attempt: Path) -> list[Metrics]:
    """The metrics of each saved epoch of an attempt, up to the first line that is torn or is not of a curve."""
    path = attempt / CURVE
    curve: list[Metrics] = []
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            metrics = json.loads(line)
        except ValueError:
            break
        if not isinstance(metrics, dict):
            break
        curve.append(metrics)
    return curve


def write_atomically(path: Path, text: str) -> None:
    """Replace a file as a whole: readers, and a kill at any moment, leave the old text or the new one."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    temporary.write_text(text, encoding="utf-8")
    _sync(temporary)
    os.replace(temporary, path)


def remove_stage(folder: Path) -> None:
    """Remove a stage and all its attempts; the record first, so that a kill on the way leaves a stage that is not finished."""
    (folder / "record.json").unlink(missing_ok=True)
    _sync(folder)
    shutil.rmtree(folder)


def _digest(path: Path) -> str:
    if not path.is_file():
        return "missing"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
