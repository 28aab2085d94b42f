"""How wide the tube is that replicates of a training run through, and how far apart those of different recipes are (METRICS 3)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from analysis.checks import require_one_class_tuned
from analysis.geometry.inpca import trajectories, without_seeds
from analysis.geometry.progress import length_ratio, progress
from analysis.geometry.trajectory import at_progress, mutual, riemann_length, shared_range
from analysis.measure import Drawn, Measure
from contrast.component import require
from contrast.model import Model
from contrast.stage import Metrics, Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_PLACES = 51


@dataclass(frozen=True)
class Tube(Measure):
    """Distances at equal progress t_w between two or more fine-tunings on one task, each re-indexed by its own t_w.

    Results: `distance`, the mean d_B in nats over the progress that all share and over all pairs; `width`, that of pairs that differ
    in their seeds alone, and `apart`, that of the others, where there are any; `length`, the mean length of the trajectories in radians.
    Arrays: `t` [51], evenly over the shared progress; `distance` [51, R, R]; `length` and `length_ratio` [R], as of `Progress`.
    Raises `UserError` when the runs differ in data, samples or labels, keep no log-probabilities, or share no progress.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        several = isinstance(self.of, tuple) and len(self.of) >= 2
        require(several, self, "of", "must be a tuple of two stages or more", "Pass of=(tuned, ...), those of several seeds.")
        require_one_class_tuned(self)
        tasks = {getattr(stage, field.name) for stage in self._stages for field in fields(stage) if field.name == "data"}
        require(len(tasks) <= 1, self, "of", "must be runs on one data set", "Make one Tube a task.")

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return self.of if isinstance(self.of, tuple) else (self.of,)

    def measure(self, model: tuple[Model, ...], workspace: Workspace) -> Metrics:
        """`distance`, `width`, `apart` and `length`."""
        rows = trajectories(self, self._stages, workspace)
        runs = [rows.log_probs[torch.from_numpy(rows.owner == i)] for i in range(len(self._stages))]
        progresses = [progress(run, rows.labels) for run in runs]
        first, last = shared_range(progresses)
        rule = f"share no progress: one begins at t_w = {first:.4g}, and another comes no further than {last:.4g}"
        require(first < last, self, "of", rule, "Train longer, or leave out the run that learns nothing.")
        t = torch.linspace(first, last, _PLACES, dtype=torch.float64)
        distance = torch.stack([_at(runs, progresses, place) for place in t.tolist()])
        lengths = [riemann_length(run) for run in runs]
        ratios = np.array([length_ratio(run) for run in runs])
        workspace.keep_arrays(t=t.numpy(), distance=distance.numpy(), length=np.array(lengths), length_ratio=ratios)
        return {**self._means(distance.mean(dim=0)), "length": float(np.mean(lengths))}

    def _means(self, distance: Tensor) -> Metrics:
        recipes = [without_seeds(stage) for stage in self._stages]
        pairs = {(i, j): distance[i, j].item() for i, j in combinations(range(len(recipes)), 2)}
        found = {"distance": list(pairs.values())}
        found["width"] = [value for (i, j), value in pairs.items() if recipes[i] == recipes[j]]
        found["apart"] = [value for (i, j), value in pairs.items() if recipes[i] != recipes[j]]
        return {name: float(np.mean(values)) for name, values in found.items() if values}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure | None":
        """Distance between replicates at equal progress, a panel per task, a line per method."""
        from analysis.figures.tube import tube as draw

        return draw(drawn)


def _at(runs: list[Tensor], progresses: list[Tensor], place: float) -> Tensor:
    return mutual(torch.stack([at_progress(run, t, min(place, t.max().item())) for run, t in zip(runs, progresses, strict=True)]))
