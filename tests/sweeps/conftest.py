"""A cluster on loopback, with ports, folders and a token of its own, as `ray up` would make one elsewhere."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import driver

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Cluster:
    """A running head. `env` is what a driver or a `ray` command needs to reach it."""

    address: str
    dashboard: str
    token: str
    env: dict[str, str]

    def get(self, path: str, token: str | None) -> tuple[int, str]:
        """Status and body of a request to the dashboard."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.dashboard + path, headers=headers), timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)


@pytest.fixture(scope="session")
def cluster(_cache_of_the_session: None) -> Iterator[Cluster]:
    """A head with two cores on loopback. It is ended by its process id: `ray stop` would end other people's."""
    home = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # sockets lie below it, and their names must be short
    port, dashboard, *others = _free_ports(7)
    token = secrets.token_hex(32)
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(token)
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_") and name != "PYTHONPATH"}
    env |= {"HOME": str(home), "PATH": f"{BIN}{os.pathsep}{env['PATH']}", "RAY_AUTH_MODE": "token"}
    kinds = ("ray-client-server", "dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
    argv = [
        str(BIN / "ray"), "start", "--head", "--block", "--disable-usage-stats", "--num-cpus=2", "--object-store-memory=200000000",
        "--node-ip-address=127.0.0.1", f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        f"--temp-dir={home / 'tmp'}", *(f"--{kind}-port={number}" for kind, number in zip(kinds, others, strict=True)),
    ]  # fmt: skip
    with ExitStack() as cleaning:
        cleaning.callback(shutil.rmtree, home, ignore_errors=True)
        log = cleaning.enter_context(open(home / "head.log", "wb"))
        head = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        cleaning.callback(head.wait)
        cleaning.callback(lambda: driver.end(driver.family(head.pid)))
        found = Cluster(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", token, env)
        until = time.monotonic() + driver.PATIENCE
        while found.get("/api/jobs/", token)[0] != 200:
            assert head.poll() is None, (home / "head.log").read_text()
            assert time.monotonic() < until, (home / "head.log").read_text()
            time.sleep(0.2)
        yield found


def _free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
