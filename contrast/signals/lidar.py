"""LiDAR: how many directions tell images apart, relative to how far views of one image spread; larger is better.

Thilak et al., 2024, "LiDAR: sensing linear probing performance in joint embedding SSL architectures": RankMe's entropy, of the
eigenvalues of a linear discriminant analysis in which every image is a class of its views. METRICS 7.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from contrast.signals.moments import Moments, moments
from contrast.signals.rankme import effective_rank


@dataclass(frozen=True)
class ViewScatter:
    """Sums over images in V views each, in float64: the scatter of views around their image's mean, and the moments of these means.

    Those of two batches of images add up to those of both.
    """

    views: int
    within: Float64[Tensor, "d d"]
    means: Moments

    def __add__(self, other: "ViewScatter") -> "ViewScatter":
        return ViewScatter(self.views + other.views, self.within + other.within, self.means + other.means)


def view_scatter(features: Float[Tensor, "n v d"]) -> ViewScatter:
    """The scatter of a batch of n images; `views` counts all n * v."""
    x = features.double()
    means = x.mean(dim=1)
    apart = (x - means[:, None]).flatten(0, 1)
    return ViewScatter(len(apart), apart.T @ apart, moments(means))


def lidar(features: Float[Tensor, "n v d"] | ViewScatter, delta: float = 1e-4) -> float:
    """exp(-sum p log p) of the eigenvalues of Sw^-1/2 Sb Sw^-1/2 as shares p of their sum, between 1 and min(n - 1, d).

    Sb is the covariance of the images' means, Sw that of views around them plus `delta` times the identity. 0 where all means
    are alike, NaN where a feature is not finite.
    """
    known = features if isinstance(features, ViewScatter) else view_scatter(features)
    if not (known.means.finite and known.within.isfinite().all()):
        return math.nan
    within = known.within / known.views + delta * torch.eye(len(known.within), dtype=torch.float64, device=known.within.device)
    root = torch.linalg.cholesky(within)
    half = torch.linalg.solve_triangular(root, known.means.covariance, upper=False)
    eigenvalues = torch.linalg.eigvalsh(torch.linalg.solve_triangular(root, half.T, upper=False))
    rounding = known.means.rounding / float(torch.linalg.eigvalsh(within)[0])
    return effective_rank(eigenvalues[eigenvalues > rounding])
