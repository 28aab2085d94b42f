"""How wide the tube is that replicates of a training run through, and how far apart those of different recipes are (METRICS 3)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from analysis.checks import require_one_class_tuned, require_trained_classifiers
from analysis.geometry.inpca import trajectories, without_seeds
from analysis.geometry.progress import length_ratio, progress
from analysis.geometry.trajectory import at_progress, mutual, passes, riemann_length
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

    Results: `distance`, the mean d_B in nats over the progress that both of a pair pass and over all pairs that share some; `width`,
    that of pairs that differ in their seeds alone, and `apart`, that of the others, where there are any; `length`, the mean length of
    the trajectories in radians. Arrays: `t` [51], evenly over the progress of all; `distance` [51, R, R], no number where a run does
    not pass; `length` and `length_ratio` [R], as of `Progress`.
    Raises `UserError` when the runs differ in data, samples or labels, keep no log-probabilities, or no two share any progress.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        several = isinstance(self.of, tuple) and len(set(self.of)) == len(self.of) >= 2
        require(several, self, "of", "must be a tuple of two stages or more, each once", "Pass of=(tuned, ...), those of several seeds.")
        require_one_class_tuned(self)
        require_trained_classifiers(self, self.of if isinstance(self.of, tuple) else (self.of,))
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
        first, last = min(t[0].item() for t in progresses), max(t.max().item() for t in progresses)
        places = np.linspace(first, last, _PLACES)
        distance = np.stack([_at(runs, progresses, place) for place in places.tolist()])
        lengths = [riemann_length(run) for run in runs]
        ratios = np.array([length_ratio(run) for run in runs])
        workspace.keep_arrays(t=places, distance=distance, length=np.array(lengths), length_ratio=ratios)
        return {**self._means(distance), "length": float(np.mean(lengths))}

    def _means(self, distance: np.ndarray) -> Metrics:
        recipes = [without_seeds(stage) for stage in self._stages]
        along = {(i, j): distance[:, i, j][np.isfinite(distance[:, i, j])] for i, j in combinations(range(len(recipes)), 2)}
        pairs = {pair: float(values.mean()) for pair, values in along.items() if len(values)}
        require(len(pairs) > 0, self, "of", "share no progress: none comes to where another begins", "Train longer.")
        found = {"distance": list(pairs.values())}
        found["width"] = [value for (i, j), value in pairs.items() if recipes[i] == recipes[j]]
        found["apart"] = [value for (i, j), value in pairs.items() if recipes[i] != recipes[j]]
        return {name: float(np.mean(values)) for name, values in found.items() if values}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure | None":
        """Distance between replicates at equal progress, a panel per task, a line per method."""
        from analysis.figures.tube import tube as draw

        return draw(drawn)


def _at(runs: list[Tensor], progresses: list[Tensor], place: float) -> np.ndarray:
    """d_B [R, R] at one progress, no number for a run that does not pass it."""
    there = [i for i, t in enumerate(progresses) if passes(t, place)]
    distance = np.full((len(runs), len(runs)), np.nan)
    if there:
        distance[np.ix_(there, there)] = mutual(torch.stack([at_progress(runs[i], progresses[i], place) for i in there])).numpy()
    return distance
