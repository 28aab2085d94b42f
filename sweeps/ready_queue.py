"""What runs next: jobs that are ready, most urgent first.

A job that may have become ready is ranked once, when that happens, and looked at again when its turn comes; so an event
costs the logarithm of the number of ready jobs, and nothing of the number of all.
"""

import heapq
from collections.abc import Callable, Set

from contrast.stage import Stage
from sweeps.graph import Graph, Job, Want
from sweeps.resources import Resources

Rank = tuple[int, bool]  # confirmation, children, further seeds, pilots; what needs nothing after what does
Turn = tuple[int, int, str]  # candidate, seed, fingerprint


class ReadyQueue:
    """The ready jobs of a graph; `rank(job, who)` says how urgent a job is to one of those who want it, 0 first."""

    def __init__(self, graph: Graph, rank: Callable[[Job, Want], int], resources: Callable[[Stage], Resources]) -> None:
        self.graph, self.rank, self.resources = graph, rank, resources
        self._heaps: dict[tuple[Rank, Resources], list[Turn]] = {}

    def first(self, now: float, shape: Resources | None, closed: Set[Resources] = frozenset()) -> Job | None:
        """The most urgent job; of equal rank those of `shape`, the one last handed out, then by candidate and seed; none of `closed`."""
        self._take_up(now)
        while open_keys := [key for key in self._heaps if key[1] not in closed]:
            key = min(open_keys, key=lambda key: (key[0], shape is not None and key[1] != shape, self._heaps[key][0]))
            heap = self._heaps[key]
            job = self.graph.jobs[heap[0][2]]
            if self.graph.startable(job, now) and self._place(job) == (key, heap[0]):
                return job  # it stays until it is begun, and is passed over from then on
            heapq.heappop(heap)
            if not heap:
                del self._heaps[key]
        return None

    def _take_up(self, now: float) -> None:
        self.graph.resume(now)
        changed = list(self.graph.changed)
        self.graph.changed.clear()
        for identity in changed:
            job = self.graph.jobs[identity]
            if self.graph.startable(job, now):
                key, turn = self._place(job)
                heapq.heappush(self._heaps.setdefault(key, []), turn)

    def _place(self, job: Job) -> tuple[tuple[Rank, Resources], Turn]:
        rank, number, seed = min((self.rank(job, who), who[0], who[2]) for who in job.wanted)
        return ((rank, not job.needs), self.resources(job.stage)), (number, seed, job.fingerprint)
