"""Which nodes of a cluster lose what they are given: after three units in a row without progress a node is to be avoided."""

from collections import Counter

LOSSES = 3


class Nodes:
    """Losses by node id, as workers tell where they run; `avoided` holds for the rest of the launch."""

    def __init__(self) -> None:
        self.avoided: set[str] = set()
        self._where: dict[int, str] = {}
        self._losses: Counter[str] = Counter()

    def began(self, unit: int, node: str) -> None:
        """A unit runs on this node; the first that is told counts, and an empty id is no node."""
        if node:
            self._where.setdefault(unit, node)

    def progressed(self, unit: int) -> None:
        """A unit computed an epoch or committed, so its node works."""
        self._losses.pop(self._where.get(unit, ""), None)

    def lost(self, unit: int) -> str | None:
        """A unit's worker was lost; the node's id if from now on it is avoided."""
        node = self._where.get(unit, "")
        self._losses[node] += 1
        if not node or node in self.avoided or self._losses[node] < LOSSES:
            return None
        self.avoided.add(node)
        return node

    def left(self, unit: int) -> None:
        """A unit is over or was taken back: where it ran counts no more."""
        self._where.pop(unit, None)
