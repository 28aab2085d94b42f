"""New trajectories on the axes of an InPCA that is there already: the picture stays, and what is new is added to it.

A joint embedding of more runs turns and shifts all of them. Here axes are frozen, as multidimensional scaling places points that it
was not made of: x = Lambda^-1 U^T w, where w is the row that a point would have in W (METRICS 3). A new trajectory costs its
distances to the M landmarks and nothing that grows with M^2 but one sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from analysis.checks import require_one_class_tuned, require_trained_classifiers
from analysis.geometry.bhattacharyya import between, pairwise
from analysis.geometry.inpca import TRUTH, InPCA, centred, landmarks, project, trajectories
from analysis.measure import Drawn, Measure
from contrast.component import require
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class InPCAProjection(Measure):
    """The trajectories of a tuple of fine-tunings on the axes of the InPCA `onto`, which is of the same task and stays as it is.

    Results: `explained_stress` of `onto.dimensions` axes for the new rows, 1 - |w - w_k|^2 / |w|^2; `clipped_share` of the floor of
    their distances. Arrays: `coordinates` [M, 5], `model` [M] and `epoch` [M] of the new rows (index into `of`), then of those of
    `onto`: -1 for P_0, -2 for P*, -3 - i for its run i; signed `eigenvalues` of `onto`.
    Raises `UserError` when the runs differ from those of `onto` in data, samples or labels, or keep no log-probabilities.
    """

    onto: InPCA

    def __post_init__(self) -> None:
        super().__post_init__()
        require(isinstance(self.of, tuple), self, "of", "must be a tuple of stages", "Pass of=(tuned, ...), one or more.")
        require_one_class_tuned(self)
        require_trained_classifiers(self, self.of if isinstance(self.of, tuple) else (self.of,))
        stages = (*(self.of if isinstance(self.of, tuple) else ()), *self.onto.stages)
        tasks = {getattr(stage, field.name) for stage in stages for field in fields(stage) if field.name == "data"}
        require(len(tasks) <= 1, self, "of", "must be runs on the data set of `onto`", "Make one InPCA a task.")

    def measure(self, model: tuple[Model, ...], workspace: Workspace) -> Metrics:
        """`explained_stress` and `clipped_share`."""
        new, old = trajectories(self, [one.stage for one in model], workspace), landmarks(self.onto, workspace)
        equal = np.array_equal(new.ids, old.ids) and torch.equal(new.labels, old.labels)
        require(equal, self, "of", "must have the samples and labels of `onto`", "Make one InPCA a task.")
        found = workspace.of(self.onto).arrays()
        coordinates, eigenvalues = torch.from_numpy(found["coordinates"]), torch.from_numpy(found["eigenvalues"])
        to_landmarks, clipped = between(new.log_probs, old.log_probs)
        rows = centred(to_landmarks, pairwise(old.log_probs)[0])
        axes = eigenvalues[: coordinates.shape[1]]
        coordinates = coordinates[:, : len(axes)]
        placed = project(rows, axes, coordinates)
        workspace.keep_arrays(
            coordinates=torch.cat([placed, coordinates]).numpy(),
            model=np.concatenate([new.owner, np.where(old.owner >= 0, TRUTH - 1 - old.owner, old.owner)]),
            epoch=np.concatenate([new.epoch, old.epoch]),
            eigenvalues=found["eigenvalues"],
        )
        k = self.onto.dimensions
        left = rows - (placed[:, :k] * axes[:k].sign()) @ coordinates[:, :k].T
        explained = 1 - (left.square().sum() / rows.square().sum()).item()
        return {"explained_stress": explained, "clipped_share": clipped}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """The new trajectories over those of the joint embedding, in grey, a pair of panels per task."""
        from analysis.figures.inpca import inpca as draw

        return draw(drawn)
