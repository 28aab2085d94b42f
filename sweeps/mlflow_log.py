"""The projection into MLflow: rows in, runs out, from one thread, and never in the sweep's way.

Everything shown there can be sent again from the store, so what goes wrong here is told and never stops a sweep. Runs are
found by the tag `sweep.key`; what a run already has is not sent twice. A run bears a digest of its last rows and is closed
after everything else, so that the next launch passes over it. Rows that still wait give way to newer ones of the same run.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.masking import masked
from sweeps.mlflow_rows import RunRows
from sweeps.mlflow_store import open_store
from sweeps.picture import Picture
from sweeps.points import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient  # it takes seconds to import

KEY, DIGEST, PARENT = "sweep.key", "sweep.digest", "mlflow.parentRunId"
_METRICS, _PARAMS, _TAGS = 800, 100, 100  # of one request; MLflow takes 1000, 100 and 100, and 1000 in all
_LONGEST = 5000
_PASSING = ("nonfinite.", "arrays.", "stage.", "left_out")  # tags that a run may lose again


class NotSent(RuntimeError):
    """Some runs are not in MLflow as they should be; the next launch, or `sync`, sends them. The sweep itself is whole."""


@dataclass
class _Known:
    """What a run of MLflow has already, as far as this launch knows."""

    run: str
    status: str = "RUNNING"
    points: set[Point] = field(default_factory=set)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def holds(self, digest: str) -> bool:
        """Whether the run was closed after rows of this digest were sent."""
        return self.status != "RUNNING" and self.tags.get(DIGEST) == digest

    def forget(self) -> None:
        """Take nothing for granted but which run and which tags there are."""
        self.params, self.tags = {}, dict.fromkeys(self.tags, "\0")
        self.points.clear()


class MlflowLog:
    """One experiment of one tracking store, written by one thread. Make it with `open`, before any worker starts."""

    def __init__(self, client: "MlflowClient", experiment: str, show: Callable[[str], None]) -> None:
        self.client, self.experiment, self.show = client, experiment, show
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mlflow")
        self._waiting: dict[str, RunRows] = {}
        self._known = dict(_adopted(client, experiment))
        self._error: BaseException | None = None
        self._unsent: set[str] = set()
        self._failing = self._closing = False

    @staticmethod
    def open(sweep: str, root: Path, uri: str | None = None, show: Callable[[str], None] = lambda text: None) -> "MlflowLog":
        """Open or create the sweep's experiment in `root`/mlflow.db, or in the store at `uri`; `show` is told the first error.

        Raises `UserError` for an address that is unsafe or out of reach, and for a database that is not of this MLflow.
        """
        return MlflowLog(*open_store(sweep, root, uri), show)

    def send(self, rows: Sequence[RunRows]) -> None:
        """Queue runs, each after its parent; returns at once."""
        for run in rows:
            self._waiting[run.key] = run
            self._submit(run.key, lambda key=run.key: self._write(key))  # type: ignore[misc]

    def sync(self, rows: Sequence[RunRows]) -> None:
        """Queue runs to be sent in full, whatever is known to be there."""
        self._submit("", self._forget)
        self.send(rows)

    def drain(self) -> None:
        """Wait until all that is queued is written. Pictures are drawn while writing, so draw nothing elsewhere before that."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """Write all that is queued, end the thread, and raise `NotSent` about what could not be written.

        Once writing fails here, what is left is not tried one by one.
        """
        self._closing = True
        self._thread.shutdown(wait=True)
        if self._unsent:
            cure = "Run the same command again to send them."
            raise NotSent(f"{len(self._unsent)} runs are not in MLflow: {_line(self._error)}. {cure}") from self._error

    def _submit(self, key: str, work: Callable[[], object]) -> None:
        self._thread.submit(work).add_done_callback(lambda done: self._heard(key, done))

    def _heard(self, key: str, done: "Future[object]") -> None:
        error = done.exception()
        self._failing = error is not None
        if error is None:
            self._unsent.discard(key)
            return
        self._unsent.add(key)
        if self._error is None:
            self._error = error
            self.show(f"MLflow: {_line(error)}; the sweep goes on")

    # ---- on the writer's thread -----------------------------------------------------------------------------------

    def _write(self, key: str) -> None:
        rows = self._waiting.pop(key, None)
        if rows is None:
            return
        if self._closing and self._failing:
            raise NotSent("left for the next launch")
        rows = _admissible(rows)
        digest = _digest(rows)
        known = self._known.get(key)
        if known is not None and known.holds(digest):
            return
        closed = rows.status != "RUNNING"
        if closed:
            rows = replace(rows, tags=rows.tags | {DIGEST: digest})
        if known is None:
            known = self._known[key] = self._create(rows)
        elif known.status != "RUNNING":
            self.client.update_run(known.run, status="RUNNING")
            known.status = "RUNNING"
        self._log(known, rows)
        if closed:
            self._attach(known.run, rows)
            self.client.set_terminated(known.run, rows.status, end_time=rows.end)
            known.status = rows.status

    def _forget(self) -> None:
        for known in self._known.values():
            known.forget()

    def _create(self, rows: RunRows) -> _Known:
        parent = {} if rows.parent is None else {PARENT: self._known[rows.parent].run}
        tags = rows.tags | parent | {KEY: rows.key}
        created = self.client.create_run(self.experiment, start_time=rows.start, tags=tags, run_name=rows.name)
        return _Known(created.info.run_id, tags=dict(rows.tags))

    def _log(self, known: _Known, rows: RunRows) -> None:
        from mlflow.entities import Metric, Param, RunTag

        points = [point for point in rows.metrics if point not in known.points]
        params = [Param(name, value) for name, value in rows.params.items() if known.params.get(name) != value]
        tags = [RunTag(name, value) for name, value in rows.tags.items() if known.tags.get(name) != value]
        metrics = [Metric(*point) for point in points]
        requests = max(-(-len(metrics) // _METRICS), -(-len(params) // _PARAMS), -(-len(tags) // _TAGS))
        for i in range(requests):
            self.client.log_batch(known.run, _part(metrics, _METRICS, i), _part(params, _PARAMS, i), _part(tags, _TAGS, i))
        for name in [name for name in known.tags if name not in rows.tags and name.startswith(_PASSING)]:
            self.client.delete_tag(known.run, name)
            del known.tags[name]
        known.points.update(points)
        known.params |= rows.params
        known.tags |= rows.tags

    def _attach(self, run: str, rows: RunRows) -> None:
        """Send all files of a run at once; a picture is drawn now."""
        if not rows.files:
            return
        with tempfile.TemporaryDirectory() as folder:
            for name, content in rows.files.items():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    shutil.copyfile(content, target)
                elif (data := content.png() if isinstance(content, Picture) else content) is not None:
                    target.write_bytes(data)
            self.client.log_artifacts(run, folder)


def _adopted(client: "MlflowClient", experiment: str) -> list[tuple[str, _Known]]:
    """The runs that are there already, by their key."""
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            tags = dict(run.data.tags)
            if KEY in tags:
                found.append((tags[KEY], _Known(run.info.run_id, run.info.status, set(), dict(run.data.params), tags)))
        token = page.token
        if not token:
            return found


def _admissible(rows: RunRows) -> RunRows:
    """The rows with names that MLflow takes, and without the values of environment variables that look secret."""

    def cleaned(texts: Mapping[str, str]) -> dict[str, str]:
        return {_name(name): masked(text)[:_LONGEST] for name, text in texts.items()}  # cut last, lest half a secret is left

    points = tuple(point._replace(key=_name(point.key)) for point in rows.metrics)
    return replace(rows, params=cleaned(rows.params), tags=cleaned(rows.tags), metrics=points)


def _name(name: str) -> str:
    """A metric's, parameter's or tag's name with other characters than MLflow takes written as their code: `acc_40_1`."""
    plain = re.sub(r"[^\w\-. :/]", lambda other: f"_{ord(other.group()):x}_", name, flags=re.ASCII)
    return "/".join(segment if segment.strip(".") else f"_{segment}_" for segment in plain.split("/"))


def _part(items: list[Any], size: int, i: int) -> list[Any]:
    return items[i * size : (i + 1) * size]


def _digest(rows: RunRows) -> str:
    """A digest of all that is sent for a run."""
    digest = hashlib.sha256(repr(replace(rows, files={})).encode())
    for name, content in rows.files.items():
        digest.update(name.encode())
        data = content.read_bytes() if isinstance(content, Path) else repr(content).encode() if isinstance(content, Picture) else content
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def _line(error: BaseException | None) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
