"""Domain generalisation in one line: accuracy on every domain that was left out, their mean and the worst (METRICS 8, PROTOCOL 7.6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.accuracy.accuracy import Accuracy
from analysis.measure import Drawn, Measure, Parts
from contrast.component import require
from contrast.data.domains import Domains
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class LeftOut(Measure):
    """Of accuracies on the domains of one data set, each left out once: `average`, every domain counting once, `worst`, and `<domain>`.

    `of`: an `Accuracy` for each rotation, on `task.held_out(phase)`. What is chosen follows the rule of training domains: `held_out` of
    the search phase is of the sources, the target is in the test part alone, which is read when everything has been chosen; so in
    the search phase these are accuracies on sources, named by the target that was left out.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        rotations = isinstance(self.of, tuple) and all(isinstance(one, Accuracy) and isinstance(one.on, Domains) for one in self.of)
        rule = "must be a tuple of Accuracy, each on a domain that is left out"
        require(rotations, self, "of", rule, "Pass one for each of leave_one_out(PACS).")
        folders, targets = {on.folder for on in self._domains}, [on.target for on in self._domains]
        one_set = len(folders) == 1 and len(set(targets)) == len(targets)
        require(one_set, self, "of", "must be of one data set, and leave each domain out once", "Make one measure a data set.")
        parts = {on.part for on in self._domains}
        require(len(parts) == 1, self, "of", "must be on one part of the data", "Take task.held_out(phase) for every domain.")

    @property
    def _domains(self) -> list[Domains]:
        accuracies = [one for one in self.of if isinstance(one, Accuracy)] if isinstance(self.of, tuple) else []
        return [one.on for one in accuracies if isinstance(one.on, Domains)]

    def run(self, workspace: Workspace) -> Parts:
        """Reads what the measures found; no network is run."""
        return self.measure(None, workspace)
        yield {}

    def measure(self, model: None, workspace: Workspace) -> Metrics:
        """`average`, `worst` and one of each domain, in percent."""
        assert isinstance(self.of, tuple)
        found = [workspace.of(stage).results["accuracy"] for stage in self.of]
        each = {on.target: accuracy for on, accuracy in zip(self._domains, found, strict=True)}
        return {"average": sum(found) / len(found), "worst": min(found), **each}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """The average over the domains of each method, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn, "average over left-out domains (%)")
