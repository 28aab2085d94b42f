"""How alike two representations are, whatever their rotation and scale: linear centred kernel alignment (METRICS 7).

Kornblith et al., 2019, "Similarity of neural network representations revisited"; the estimator without bias is that of Song et
al., 2012, which few images need: there the plain one is near 1 of any two wide representations.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from analysis.checks import require_network
from analysis.measure import Measure
from analysis.representation.embedding import At, embedding, require_at
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Metrics, Workspace


@dataclass(frozen=True)
class CKA(Measure):
    """Linear CKA of the two networks of `of` on the images of `on`: 1 where features are equal up to rotation and scale, 0 where unrelated.

    HSIC is the plain one, |X'Y|_F^2 of centred features, from 10 max(d) images on, and below that the one without bias, which may
    fall a little below 0. `at`: None reads the encoders' features, "projection" what the heads make of them. NaN where the
    features of a network are constant or not finite.
    """

    on: Dataset
    at: At | None = None
    label_free: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        pair = isinstance(self.of, tuple) and len(self.of) == 2
        require(pair, self, "of", "must be a tuple of two stages", "Compare CKA(of=(a, b), on=...).")
        require_network(self, self.of)
        require_at(self, self.at)

    def check(self, size: Callable[[Dataset], int]) -> None:
        """HSIC without bias takes four images; images have the encoders' channels."""
        super().check(size)
        require(size(self.on) >= 4, self, "on", "must have 4 images or more", "Use 1,000 or more for a stable result.")

    def measure(self, model: tuple[Model, Model], workspace: Workspace) -> Metrics:
        """`cka`."""
        x, y = (embedding(one, self.on, self.at, workspace) for one in model)
        return {"cka": linear_cka(x, y, debiased=len(x) < 10 * max(x.shape[1], y.shape[1]))}


def linear_cka(x: Float[Tensor, "n d"], y: Float[Tensor, "n e"], *, debiased: bool) -> float:
    """CKA of the same n rows in two representations, with HSIC as it is or `debiased` (n of 4 or more). No n x n matrix is made."""
    x, y = centred(x), centred(y)
    if not bool(x.isfinite().all() & y.isfinite().all()):
        return math.nan
    of = _debiased if debiased else _plain
    both, one, other = of(x, y), of(x, x), of(y, y)
    return both / math.sqrt(one * other) if one > 0 and other > 0 else math.nan


def centred(x: Float[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
    """In float64, less the mean; what is left of a constant column is rounding, and made 0."""
    x = x.double()
    apart = x - x.mean(dim=0)
    return torch.where((x == x[0]).all(dim=0), 0.0, apart)


def _plain(x: Float64[Tensor, "n d"], y: Float64[Tensor, "n e"]) -> float:
    return float((x.T @ y).square().sum())


def _debiased(x: Float64[Tensor, "n d"], y: Float64[Tensor, "n e"]) -> float:
    """n (n - 3) times HSIC_1 of K = xx' and L = yy', both without their diagonals, from products d x e and row sums alone."""
    n = len(x)
    own_x, own_y = x.square().sum(dim=1), y.square().sum(dim=1)
    rows_x, rows_y = x @ x.sum(dim=0) - own_x, y @ y.sum(dim=0) - own_y
    trace = (x.T @ y).square().sum() - own_x @ own_y
    sums = rows_x.sum() * rows_y.sum() / ((n - 1) * (n - 2))
    return float(trace + sums - 2 / (n - 2) * (rows_x @ rows_y))
