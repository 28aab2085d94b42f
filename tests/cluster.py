"""A cluster on loopback, with ports, folders and a token of its own, as `ray up` would make one elsewhere."""

import json
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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import driver

BIN = Path(sys.executable).parent
PORTS = ("ray-client-server", "dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")


@dataclass(frozen=True)
class Cluster:
    """A head node. `env` is what a driver or a `ray` command needs to reach it."""

    address: str
    dashboard: str
    token: str
    env: dict[str, str]

    def get(self, path: str, token: str | None) -> tuple[int, str]:
        """Status and body of a request to the dashboard; status 0 where nobody answers."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.dashboard + path, headers=headers), timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def submit(self, job: str, *entry: str) -> None:
        """`ray job submit --working-dir .` in the repository."""
        argv = [str(BIN / "ray"), "job", "submit", "--address", self.dashboard, "--working-dir", ".", "--submission-id", job, "--no-wait"]
        sent = subprocess.run([*argv, "--", *entry], env=self.env, cwd=driver.REPOSITORY, capture_output=True, text=True, check=False)
        assert sent.returncode == 0, sent.stdout + sent.stderr

    def ended(self, job: str) -> str:
        """The status of a job when it is neither waiting nor running any more."""
        until = time.monotonic() + driver.PATIENCE
        while (status := self._of(job)["status"]) in ("PENDING", "RUNNING") and time.monotonic() < until:
            time.sleep(0.5)
        return str(status)

    def logs(self, job: str) -> str:
        """What a job printed."""
        return str(self._of(f"{job}/logs")["logs"])

    def _of(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get(f"/api/jobs/{path}", self.token)[1])
        return found


@contextmanager
def head(env: Mapping[str, str]) -> Iterator[Cluster]:
    """A head with one core on loopback, ready for jobs. It is ended by its process id: `ray stop` would end others'."""
    home = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # sockets lie below it, and their names must be short
    port, dashboard, *others = _free_ports(2 + len(PORTS))
    token = secrets.token_hex(32)
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(token)
    own = {name: value for name, value in env.items() if not name.startswith("RAY_") and name != "PYTHONPATH"}
    own |= {"HOME": str(home), "PATH": f"{BIN}{os.pathsep}{env['PATH']}", "RAY_AUTH_MODE": "token"}
    argv = [
        str(BIN / "ray"), "start", "--head", "--block", "--disable-usage-stats", "--num-cpus=1", "--object-store-memory=200000000",
        "--node-ip-address=127.0.0.1", f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        f"--temp-dir={home / 'tmp'}", *(f"--{name}-port={number}" for name, number in zip(PORTS, others, strict=True)),
    ]  # fmt: skip
    with ExitStack() as cleaning:
        cleaning.callback(shutil.rmtree, home, ignore_errors=True)
        log = cleaning.enter_context(open(home / "head.log", "wb"))
        process = subprocess.Popen(argv, env=own, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        cleaning.callback(process.wait)
        cleaning.enter_context(driver.ended_with_the_session(process.pid))
        found = Cluster(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", token, own)
        until = time.monotonic() + driver.PATIENCE
        while found.get("/api/jobs/", token)[0] != 200:
            assert process.poll() is None, (home / "head.log").read_text()
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
