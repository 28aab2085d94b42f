"""Class means of features and how near they are to neural collapse, as plain functions of tensors.

Papyan, Han and Donoho, 2020, "Prevalence of neural collapse during the terminal phase of deep learning training". At collapse a
class is a point, and the points are the corners of a simplex around their middle: an equiangular tight frame.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor


class Classes(NamedTuple):
    """`present` holds the labels of classes that have samples; of these the means, less their mean, and the mean of their covariances."""

    present: Int64[Tensor, " c"]
    middle: Float64[Tensor, " d"]
    means: Float64[Tensor, "c d"]
    within: Float64[Tensor, "d d"]


def by_class(features: Float[Tensor, "n d"], labels: Int64[Tensor, " n"]) -> Classes:
    """Means and covariances (divisor n_c), every class that is present counting the same."""
    x, present = features.double(), labels.unique()
    means = torch.stack([x[labels == label].mean(dim=0) for label in present])
    within = x.new_zeros(x.shape[1], x.shape[1])
    for label, mean in zip(present, means, strict=True):
        apart = x[labels == label] - mean
        within += apart.T @ apart / (len(apart) * len(present))
    middle = means.mean(dim=0)
    return Classes(present, middle, means - middle, within)


def variability(classes: Classes) -> float:
    """NC1, tr(Sw Sb^+) / C: the spread within classes against that of their means. NaN where all means are one, or not finite."""
    if not classes.means.isfinite().all():
        return math.nan
    _, singular, directions = torch.linalg.svd(classes.means, full_matrices=False)
    scale = float((classes.means + classes.middle).norm())
    known = singular > len(classes.within) * torch.finfo(torch.float64).eps * scale
    if not known.any():
        return math.nan
    between = singular[known].square() / len(classes.means)
    along = (directions[known] @ classes.within * directions[known]).sum(dim=1)
    return float((along / between).sum() / len(classes.means))


def equinorm(classes: Classes) -> float:
    """NC2: the coefficient of variation of the lengths of the class means; 0 at collapse, NaN where all are one point."""
    lengths = classes.means.norm(dim=1)
    return float(lengths.std(correction=0) / lengths.mean()) if lengths.any() else math.nan


def cosines(classes: Classes) -> Float64[Tensor, " pairs"]:
    """Between the means of every pair of classes; all are -1 / (C - 1) at collapse. NaN where a mean is in the middle."""
    unit = classes.means / classes.means.norm(dim=1, keepdim=True)
    first, second = torch.triu_indices(len(unit), len(unit), offset=1).to(unit.device)
    found: Tensor = (unit[first] * unit[second]).sum(dim=1)
    return found


def duality(classes: Classes, weight: Float[Tensor, "c d"]) -> float:
    """NC3, |W / |W| - M / |M||_F^2 of the means M and the weights W of a linear classifier, less their mean: 0 at collapse, at most 4."""
    rows = weight.double()[classes.present]
    rows = rows - rows.mean(dim=0)
    return float((rows / rows.norm() - classes.means / classes.means.norm()).square().sum())


def nearest_mean(features: Float[Tensor, "n d"], classes: Classes) -> Int64[Tensor, " n"]:
    """The class whose mean is nearest to each row; of two as near, the smaller."""
    x = features.double() - classes.middle
    return classes.present[(classes.means.square().sum(dim=1) - 2 * x @ classes.means.T).argmin(dim=1)]
