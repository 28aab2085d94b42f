"""One stage in several processes, each with a GPU of its own where there are GPUs: children of the worker, driven in step.

A child is started, not forked, since GPUs and threads do not survive a fork. It goes on by one epoch when it is told to, so that
none runs ahead of a decision; only the first one writes. Children end with the worker, however it ends: the kernel sees to that.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cloudpickle
import torch
from torch import distributed

from contrast.component import UserError
from contrast.distributed import Processes
from contrast.heap import kept_heap
from contrast.stage import Diverged, Metrics, Stage, Workspace
from sweeps.resources import Resources

Prepare = Callable[[Processes, torch.device], Workspace]
# First of all, before imports that take seconds, the kernel is asked to end a child with its parent (prctl PR_SET_PDEATHSIG).
CHILD = """
import ctypes, os, signal, sys
if ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone, or this is no Linux")
from sweeps.engines.processes import child
child()
"""


class ChildFailed(RuntimeError):
    """A child's stage raised; the text is the tail of its traceback."""


class ChildLost(RuntimeError):
    """A child ended without a word: it was killed, or ran out of memory."""


def number(stage: Stage, resources: Resources) -> int:
    """In how many processes a stage runs: one a GPU, for stages that several can run together."""
    return int(resources.gpus) if stage.parallel and resources.gpus >= 2 else 1


def run(stage: Stage, prepare: Prepare, count: int, threads: int) -> Generator[Metrics, None, Metrics]:
    """As `stage.run`, in `count` children with `threads` threads each; closing the generator ends them.

    `prepare` gives a child its workspace. Raises what the stage raised where that means something (`Diverged`, `UserError`),
    else `ChildFailed`; `ChildLost` when a child was killed.
    """
    content = cloudpickle.dumps((stage, prepare))
    with tempfile.TemporaryDirectory(prefix="meeting-") as meeting, ExitStack() as ending:
        children = []
        for rank in range(count):
            children.append(Child(rank, count, threads, Path(meeting), content))
            ending.callback(children[-1].end)
        while True:
            for one in children:
                one.go()
            word = _hear(children)
            print(word["printed"], end="")
            if word["kind"] == "done":
                return dict(word["metrics"])
            yield word["metrics"]


class Child:
    """A child process as its parent sees it."""

    def __init__(self, rank: int, count: int, threads: int, meeting: Path, content: bytes) -> None:
        self.rank, self.count = rank, count
        self.line, theirs = Pipe()
        variables = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        variables |= dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"), "lo")  # nothing listens beyond this machine
        told = (os.getpid(), theirs.fileno(), rank, count, threads, meeting)
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *map(str, told)],
            env=os.environ | variables | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C in the terminal is the driver's to hear
        )
        theirs.close()
        self._send(content)

    def go(self) -> None:
        """Have it compute one more epoch."""
        self._send(b"go")

    def end(self) -> None:
        """Kill it, if it still runs, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self.line.close()

    def lost(self) -> ChildLost:
        """That it is gone, with its exit code."""
        return ChildLost(f"process {self.rank + 1} of {self.count} ended with {self.process.wait()} and gave no reason")

    def _send(self, content: bytes) -> None:
        with suppress(OSError):  # it is gone, as whoever listens to it will find
            self.line.send_bytes(content)


def _hear(children: Sequence[Child]) -> dict[str, Any]:
    """What the first child says next; raises what ended any of them."""
    left = list(children)
    while True:
        words: list[tuple[Child, dict[str, Any]]] = []
        ready = wait([one.line for one in left])
        for one in [one for one in left if one.line in ready]:
            try:
                words.append((one, json.loads(one.line.recv_bytes())))
            except (EOFError, OSError):
                raise one.lost() from None
            if words[-1][1]["kind"] == "done":
                left.remove(one)  # it may end before the first one is done
        for one, word in words:
            if word["kind"] not in ("epoch", "done"):
                killed = [other for other in children if other is not one and (other.process.poll() or 0) < 0]
                raise killed[0].lost() if killed else _error(word)
        for one, word in words:
            if one.rank == 0:
                return word


def _error(word: dict[str, Any]) -> Exception:
    kinds: dict[str, type[Exception]] = {"diverged": Diverged, "refused": UserError}
    return kinds.get(word["kind"], ChildFailed)(word["text"])


def child() -> None:
    """What a child does: be told its stage, then compute an epoch at a time."""
    handle, rank, count, threads = map(int, sys.argv[2:6])
    torch.set_num_threads(threads)
    line, processes = Connection(handle), Processes(rank, count)
    stage, prepare = cloudpickle.loads(line.recv_bytes())
    device = _join(processes, Path(sys.argv[6]))
    with suppress(EOFError), kept_heap():  # at its end nobody wants to know any more
        _run(stage, prepare(processes, device), line)


def _join(processes: Processes, meeting: Path) -> torch.device:
    """Meet the other processes; returns the device of this one."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", processes.rank) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    backend, where = "nccl" if gpu else "gloo", f"file://{meeting / 'store'}"
    distributed.init_process_group(backend, init_method=where, rank=processes.rank, world_size=processes.size)
    return device


def _run(stage: Stage, workspace: Workspace, line: Connection) -> None:
    def tell(kind: str, metrics: Metrics | None = None, text: str = "") -> None:
        line.send_bytes(json.dumps({"kind": kind, "metrics": metrics, "text": text, "printed": printed.getvalue()}).encode())

    running = stage.run(workspace)
    while line.recv_bytes():
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                metrics = next(running)
        except StopIteration as stop:
            return tell("done", stop.value)
        except Diverged as error:
            return tell("diverged", text=str(error))
        except UserError as error:
            return tell("refused", text=str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever it is, it is the stage's failure)
            return tell("exception", text="".join(traceback.format_exception(error)[-6:]))
        tell("epoch", metrics)
