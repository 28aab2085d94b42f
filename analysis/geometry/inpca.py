"""InPCA: one picture of many trajectories in the space of predictions (PROTOCOL 5.3, METRICS 3).

All epochs of all runs, one P_0 (every class equally likely) and one P* (the truth) are embedded together, so that their
distances can be compared: with D the Bhattacharyya distances, W = -1/2 J D J is diagonalised and axis k has coordinates
u_k sqrt|lambda_k|. Axes of negative eigenvalue are imaginary: sum_k sign(lambda_k) (x_ik - x_jk)^2 = D_ij holds exactly over
all axes. Axes are ordered by |lambda|; the first points along progress, of the others the largest coordinate is positive.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import require_log_probs, require_one_class_tuned, require_trained_classifiers
from analysis.geometry.bhattacharyya import pairwise, true_model, uniform_model
from analysis.geometry.progress import progress
from analysis.measure import Drawn, Measure
from contrast.component import Component, require
from contrast.model import Model
from contrast.stage import Metrics, Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

IGNORANCE, TRUTH = -1, -2
_KEPT = 5


@dataclass(frozen=True)
class InPCA(Measure):
    """Joint embedding of the trajectories of a tuple of fine-tunings on one task; M rows: their epochs, then P_0 and P*.

    Results: `explained_stress` of `dimensions` axes (1 to 5), 1 - |W - W_k|^2 / |W|^2; `explained_norm`, the same without
    the squares (the older convention); `negative_share` of |eigenvalue| mass; `clipped_share` of the distances' floor;
    `seed_spread`, the mean distance at equal epoch of runs that differ in their seeds alone, where there are any.
    Arrays: `coordinates` [M, 5], signed `eigenvalues` [M], `model` [M] (index into `of`, -1 for P_0, -2 for P*), `epoch` [M].
    Raises `UserError` when the runs differ in data, samples or labels, or keep no log-probabilities.
    """

    dimensions: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(isinstance(self.of, tuple), self, "of", "must be a tuple of stages", "Pass of=(tuned, ...), one or more.")
        require_one_class_tuned(self)
        require_trained_classifiers(self, self.of if isinstance(self.of, tuple) else (self.of,))
        require(1 <= self.dimensions <= _KEPT, self, "dimensions", f"must be between 1 and {_KEPT}", "Use 3.")
        tasks = {getattr(stage, field.name) for stage in self.stages for field in fields(stage) if field.name == "data"}
        require(len(tasks) <= 1, self, "of", "must be runs on one data set", "Make one InPCA a task.")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """`of`, which is a tuple."""
        return self.of if isinstance(self.of, tuple) else (self.of,)

    def measure(self, model: tuple[Model, ...], workspace: Workspace) -> Metrics:
        """`explained_stress`, `explained_norm`, `negative_share`, `clipped_share` and, where computable, `seed_spread`."""
        rows = landmarks(self, workspace)
        distance, clipped = pairwise(rows.log_probs)
        eigenvalues, coordinates = embed(distance)
        coordinates = _oriented(coordinates, progress(rows.log_probs, rows.labels))
        kept = torch.zeros(len(rows.owner), _KEPT, dtype=torch.float64)
        kept[:, : coordinates.shape[1]] = coordinates[:, :_KEPT]
        workspace.keep_arrays(coordinates=kept.numpy(), eigenvalues=eigenvalues.numpy(), model=rows.owner, epoch=rows.epoch)
        stress = explained_stress(eigenvalues, self.dimensions)
        share = (eigenvalues.clamp(max=0).abs().sum() / eigenvalues.abs().sum()).item()
        results = {"explained_stress": stress, "explained_norm": 1 - (1 - stress) ** 0.5, "negative_share": share, "clipped_share": clipped}
        spread = self._seed_spread(distance.numpy(), rows.owner)
        return results if spread is None else {**results, "seed_spread": spread}

    def _seed_spread(self, distance: np.ndarray, owner: np.ndarray) -> float | None:
        recipes = [without_seeds(stage) for stage in self.stages]
        pairs = [(i, j) for i in range(len(recipes)) for j in range(i) if recipes[i] == recipes[j]]
        if not pairs:
            return None
        means = []
        for i, j in pairs:
            means.append(distance[owner == i][:, owner == j].diagonal().mean())  # epochs that both have
        return float(np.mean(means))

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """The joint embedding, a pair of panels per task."""
        from analysis.figures.inpca import inpca as draw

        return draw(drawn)


@dataclass(frozen=True)
class Rows:
    """Log-probabilities [M, N, C] of all rows and labels [N]; whose row it is [M], and of which epoch [M]; the samples' ids [N]."""

    log_probs: Tensor
    labels: Tensor
    owner: np.ndarray
    epoch: np.ndarray
    ids: np.ndarray


def trajectories(measure: Measure, stages: Sequence[Stage], workspace: Workspace) -> Rows:
    """The epochs of `stages`, one after the other. Raises `UserError` where they are not of the same samples and labels."""
    artefacts = [workspace.of(stage) for stage in stages]
    kept = [artefact.arrays() if (artefact.folder / "arrays.npz").exists() else {} for artefact in artefacts]
    require(all("log_probs" in arrays for arrays in kept), measure, "of", "must keep log-probabilities", "Measure Finetunes.")
    equal = all(np.array_equal(arrays[name], kept[0][name]) for arrays in kept for name in ("labels", "ids"))
    require(equal, measure, "of", "must have the same samples and labels", "Make one InPCA a task.")
    classes = kept[0]["log_probs"].shape[2]
    require(classes >= 2, measure, "of", "knows one class, so there is nothing to learn", "Use two classes or more.")
    log_probs = torch.cat([torch.from_numpy(arrays["log_probs"]) for arrays in kept])
    require_log_probs(measure, log_probs)
    lengths = [len(arrays["log_probs"]) for arrays in kept]
    owner = np.repeat(np.arange(len(kept)), lengths)
    epoch = np.concatenate([arrays.get("epoch", np.arange(len(arrays["log_probs"]))) for arrays in kept])
    return Rows(log_probs, torch.from_numpy(kept[0]["labels"]), owner, epoch, kept[0]["ids"])


def landmarks(measure: InPCA, workspace: Workspace) -> Rows:
    """The rows that `measure` embeds: its trajectories, then P_0 and P*."""
    rows = trajectories(measure, measure.stages, workspace)
    samples, classes = rows.log_probs.shape[1:]
    ends = torch.stack([uniform_model(samples, classes), true_model(rows.labels, classes)]).float()
    owner, epoch = np.concatenate([rows.owner, [IGNORANCE, TRUTH]]), np.concatenate([rows.epoch, [0, 0]])
    return Rows(torch.cat([rows.log_probs, ends]), rows.labels, owner, epoch, rows.ids)


def embed(distance: Float[Tensor, "m m"]) -> tuple[Float[Tensor, " m"], Float[Tensor, "m m"]]:
    """Eigenvalues of W = -1/2 J D J by decreasing size, signed, and the coordinates u_k sqrt|lambda_k|, axis by column."""
    centred = distance - distance.mean(dim=0) - distance.mean(dim=1, keepdim=True) + distance.mean()
    values, vectors = torch.linalg.eigh(-0.5 * centred)
    order = values.abs().argsort(descending=True)
    values = values[order]
    return values, vectors[:, order] * values.abs().sqrt()


def centred(to_landmarks: Float[Tensor, "k m"], distance: Float[Tensor, "m m"]) -> Float[Tensor, "k m"]:
    """The rows that new points would have in W, from their distances to the landmarks and the landmarks' own."""
    across = to_landmarks - distance.mean(dim=0) - to_landmarks.mean(dim=1, keepdim=True) + distance.mean()
    return -0.5 * across


def project(rows: Float[Tensor, "k m"], eigenvalues: Float[Tensor, " a"], coordinates: Float[Tensor, "m a"]) -> Float[Tensor, "k a"]:
    """Where new points lie on axes that stay as they are, x = Lambda^-1 U^T w in the units of `coordinates`, w being `centred` rows.

    A landmark gets its own coordinates. An axis that has nothing, which rounding may have left a little, gives 0.
    """
    something = eigenvalues.abs() > 1e-12 * eigenvalues.abs().max()
    return torch.where(something, rows @ coordinates / torch.where(something, eigenvalues, 1.0), 0.0)


def explained_stress(eigenvalues: Float[Tensor, " m"], dimensions: int) -> float:
    """1 - |W - W_k|^2 / |W|^2 in the Frobenius norm, k = `dimensions`; 1 when nothing is left, or nothing was there."""
    energy = eigenvalues.square()
    total = energy.sum().item()
    return energy[:dimensions].sum().item() / total if total > 0 else 1.0


def _oriented(coordinates: Tensor, t: Tensor) -> Tensor:
    """Axis 1 rises with progress, of every other axis the coordinate of largest size is positive."""
    largest = coordinates.gather(0, coordinates.abs().argmax(dim=0, keepdim=True))[0]
    largest[0] = coordinates[:, 0] @ (t - t.mean())
    return coordinates * torch.where(largest < 0, -1.0, 1.0)


def without_seeds(value: object) -> object:
    """What of a value remains when every field named `seed` is left out; equal for replicates of one recipe."""
    if isinstance(value, tuple):
        return tuple(without_seeds(item) for item in value)
    if isinstance(value, Component):
        return (type(value), *(without_seeds(getattr(value, field.name)) for field in fields(value) if field.name != "seed"))
    return value
