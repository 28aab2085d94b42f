"""Where MLflow keeps its runs: a database below the root, or a server; opened once, in the driver, and quietly.

A database that is not there is made beside its place and linked there when it is whole, since several drivers may begin at
once, and since one may be killed meanwhile. Telemetry is off, and an address must not carry a password or send results over
an open network.
"""

import contextlib
import logging
import os
import sqlite3
import urllib.error
import urllib.request
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from contrast.component import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_HEADER = b"SQLite format 3\x00"
_PATIENCE = 10  # seconds
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


def open_store(sweep: str, root: Path, uri: str | None) -> tuple["MlflowClient", str]:
    """A client of the store at `uri` (`root`/mlflow.db by default) and the id of the sweep's experiment there."""
    check(sweep, root, uri)
    address = uri if uri is not None else f"sqlite:///{root.resolve() / 'mlflow.db'}"
    local = address.startswith("sqlite:")
    os.environ.update(_QUIET)
    for name, value in _IMPATIENT.items():
        os.environ.setdefault(name, value)
    # MLflow is imported here, after the variables above and only when it is needed, since that takes seconds.
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors come as exceptions, and are told in one line
    try:
        if uri is None:
            _unhurried(root.resolve() / "mlflow.db")
            _make(root.resolve() / "mlflow.db")
        client = MlflowClient(address, registry_uri=address)
        return client, _experiment(client, sweep, _artefacts(root, sweep) if local else None)
    except MlflowException as error:
        cure = "Use the MLflow that wrote it, or delete it: all runs are sent again." if local else "Ask who runs the server."
        raise UserError(f"--mlflow = {address!r}: MLflow refuses it ({str(error).splitlines()[0]}). {cure}") from error
    except SQLAlchemyError as error:
        cure = "See that its disk has room and that it may be written; what is finished is kept."
        raise UserError(f"--mlflow = {address!r}: the database fails ({str(error).splitlines()[0]}). {cure}") from error


def _make(database: Path) -> None:
    """Make a database where there is none, all its tables at once: MLflow makes them one by one, and fails where it finds some."""
    from mlflow import MlflowClient

    if database.exists():
        return
    # On a network drive a file that is still open, as by MLflow's pool of connections, keeps its folder.
    with TemporaryDirectory(prefix=f".{database.name}-", dir=database.parent, ignore_cleanup_errors=True) as folder:
        draft = Path(folder) / database.name
        _unhurried(draft)
        MlflowClient(f"sqlite:///{draft}").search_experiments()
        with contextlib.suppress(FileExistsError):  # another driver was faster, and its database is as good
            os.link(draft, database)


@cache
def _unhurried(database: Path) -> None:
    """Do not wait for the disk at every commit to our own database, which makes writing three times as fast.

    A killed process loses nothing by that. A machine that loses power may lose the database, and all runs are sent again.
    """
    from sqlalchemy import Engine, event

    def connected(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            files = [Path(path) for *_, path in connection.execute("PRAGMA database_list") if path]
            if files == [database]:
                connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", connected)


def check(sweep: str, root: Path, uri: str | None) -> None:
    """Raise `UserError` unless the sweep can be sent there; nothing is written.

    `uri` must be a SQLite database or an empty place for one, or a server that may be used and answers; without it the
    database below `root` must be sound and must keep the sweep's files there.
    """
    if uri is not None:
        _check_address(uri)
        return
    database = root.resolve() / "mlflow.db"
    if set("?%") & set(str(database)):
        raise UserError(f"--root = {str(root)!r}: must not have ? or % in its path, which MLflow would misread. Name another folder.")
    if sweep == "Default":
        raise UserError("Sweep.name = 'Default': is the name of MLflow's own experiment. Rename the sweep.")
    _check_sound(f"sqlite:///{database}", database)
    _check_location(database, sweep, _artefacts(root, sweep))


def _artefacts(root: Path, sweep: str) -> str:
    return (root.resolve() / "mlartifacts" / sweep).as_uri()


def _check_location(database: Path, sweep: str, artefacts: str) -> None:
    """The experiment of a sweep must keep its files below the root; after the root was moved or copied it does not."""
    if not database.exists() or database.stat().st_size == 0:
        return
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
        try:
            found = connection.execute("SELECT artifact_location FROM experiments WHERE name = ?", (sweep,)).fetchone()
        except sqlite3.OperationalError:
            return  # no tables yet
    if found is not None and found[0] != artefacts:
        rule = f"keeps its files at {found[0]}, not at {artefacts}; was the root moved or copied?"
        raise UserError(f"{database}: the experiment {sweep!r} {rule} Delete the file: all runs are sent again.")


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise UserError(f"--mlflow = {address!r}: is no address ({error}). Write https://host:port or sqlite:////path.") from error
    if parts.username is not None or parts.password is not None:
        cure = "Leave them out and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        raise UserError(f"--mlflow = {parts.scheme}://...@{parts.hostname}: must not carry a name or a password. {cure}")
    if parts.scheme == "sqlite":
        _check_database(address)
    elif parts.scheme in ("http", "https"):
        if parts.scheme == "http" and not _loopback(parts.hostname or ""):
            cure = "Use https, or a tunnel to 127.0.0.1."
            raise UserError(f"--mlflow = {address!r}: must not send results over an open network. {cure}")
        _check_server(address)
    else:
        raise UserError(f"--mlflow = {address!r}: must be http(s)://... or sqlite:///... Leave it out for a database below --root.")


def _check_database(address: str) -> None:
    path = Path(address.removeprefix("sqlite:///"))
    if not address.startswith("sqlite:///") or not path.name:
        raise UserError(f"--mlflow = {address!r}: must name a file. Write sqlite:////absolute/path/mlflow.db.")
    _check_sound(address, path)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"--mlflow = {address!r}: cannot be written. Name a file that you may write to.")


def _check_sound(address: str, path: Path) -> None:
    """What is at `path` must be a whole SQLite database: MLflow would try a torn one for minutes."""
    if path.is_dir():
        raise UserError(f"--mlflow = {address!r}: is a folder, not a SQLite database. Move it away: all runs are sent again.")
    if not path.exists() or path.stat().st_size == 0:
        return
    cure = "Delete the file: all runs are sent again."
    try:
        with open(path, "rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                raise UserError(f"--mlflow = {address!r}: is not a SQLite database. {cure}")
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_PATIENCE)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except OSError as error:
        raise UserError(f"--mlflow = {address!r}: cannot be read ({error.strerror}). Mend its permissions.") from error
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise UserError(f"--mlflow = {address!r}: the database is damaged ({verdict.splitlines()[0]}). {cure}")


def _check_server(address: str) -> None:
    try:
        urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=_PATIENCE).close()
    except urllib.error.HTTPError:
        return  # it answers
    except OSError as error:
        cure = "Start it (mlflow server), or leave --mlflow out for a database below --root."
        raise UserError(f"--mlflow = {address!r}: does not answer ({error}). {cure}") from error


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _experiment(client: "MlflowClient", sweep: str, artefacts: str | None) -> str:
    """The id of the experiment of a sweep, made or restored where necessary; `artefacts` is where its files go."""
    found = client.get_experiment_by_name(sweep)
    if found is None:
        return str(client.create_experiment(sweep, artifact_location=artefacts))
    if artefacts is not None and found.artifact_location != artefacts:
        cure = "Delete mlflow.db below --root: all runs are sent again."
        raise UserError(f"experiment {sweep!r} of MLflow: keeps its files at {found.artifact_location}, not at {artefacts}. {cure}")
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)
