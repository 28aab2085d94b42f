"""Peak memory of this process and everything it started: proportional set size, summed, sampled each second.

Proportional set size counts a page that n processes share as 1/n in each, so the sum is what the whole tree really takes.
"""

import threading
from pathlib import Path

import psutil


class PeakMemory:
    """Samples in a thread from `start` to `stop`; `peak` in bytes."""

    def __init__(self) -> None:
        self.peak = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak-memory", daemon=True)

    def start(self) -> "PeakMemory":
        """Begin to sample."""
        self._thread.start()
        return self

    def stop(self) -> int:
        """End, with a last sample; the peak in bytes."""
        self._end.set()
        self._thread.join()
        return self.peak

    def _sample(self) -> None:
        ended = False
        while not ended:
            self.peak = max(self.peak, tree_bytes())
            ended = self._end.wait(1.0)
        self.peak = max(self.peak, tree_bytes())


def tree_bytes() -> int:
    """Proportional set size of this process and its descendants now, in bytes; 0 where the kernel does not tell."""
    me = psutil.Process()
    return sum(process_bytes(process.pid) for process in [me, *me.children(recursive=True)])


def process_bytes(pid: int) -> int:
    """Proportional set size of one process in bytes; 0 where it is gone or another's."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
