"""Entropies of a representation: how far it spreads, H(Z), and how far within a class, H(Z|Y) (PROTOCOL 7.2).

A supervised contrastive loss is, up to a constant, about H(Z|Y) - H(Z) (Boudiaf et al., 2020, "A unifying mutual information view
of metric learning"): it pulls classes together and spreads the whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from analysis.accuracy.logits import labels
from analysis.checks import require_one_class, require_one_stage
from analysis.measure import Drawn, Measure
from analysis.representation.embedding import At, embedding, require_at
from analysis.representation.entropy import sphere_entropy
from contrast.component import UserError, require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Entropies(Measure):
    """Differential entropies of L2-normalised features of `on` in nats of the sphere's surface, by the `k`-th nearest neighbour.

    Results: `h_z_given_y`, the mean over images of the entropy within their class, lower where classes are tighter; `h_z` of all;
    `information`, H(Z) - H(Z|Y), what the class tells of the features and they of it; they compare encoders of one width.
    A class without images counts for nothing, one of at most `k` images is refused. `at`: None reads the encoder's features,
    "projection" what the head makes of them. -inf where more than k images of a class have the same features, NaN where
    a feature is not finite.
    """

    on: Dataset
    k: int = 3
    at: At | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_stage(self)
        require_one_class(self, "on")
        require(self.k >= 1, self, "k", "must be at least 1", "3 is usual.")
        require_at(self, self.at)

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Images must have a k-th neighbour in their class, and the encoder's channels."""
        super().check(size)
        most = size(self.on) // self.on.num_classes
        require(self.k < most, self, "k", f"must be below the {most} images of a class", "Lower k, or use more images.")

    def measure(self, model: Model, workspace: Workspace) -> Metrics:
        """`h_z_given_y`, `h_z` and `information`; raises `UserError` where a class has too few images, or features one number."""
        features, classes = embedding(model, self.on, self.at, workspace), labels(self.on, workspace)
        if features.shape[1] < 2:
            raise UserError("Entropies.of: features are one number each: must be points on a sphere. Measure a wider encoder.")
        counts = torch.bincount(classes)
        few = [label for label, count in enumerate(counts.tolist()) if 0 < count <= self.k]
        if few:
            rule = f"must be below the images of every class, and classes {few} of `on` have no more"
            raise UserError(f"Entropies.k = {self.k}: {rule}. Lower k, or use more images.")
        within = sum(
            int(count) / len(classes) * sphere_entropy(features[classes == label], self.k) for label, count in enumerate(counts) if count
        )
        whole = sphere_entropy(features, self.k)
        return {"h_z_given_y": float(within), "h_z": whole, "information": whole - float(within)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """H(Z|Y) of each method, a dot a seed, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn, "H(Z|Y) (nats)")
